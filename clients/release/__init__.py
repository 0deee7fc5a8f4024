"""`vigil release`: makes, signs and publishes releases of applications, on a machine that is no SMServer."""
