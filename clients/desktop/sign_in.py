"""The window in which somebody signs in: address, user, password; and the server's certificate, once."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from broker.model.resources import Right
from clients.desktop.failures import Failure, sign_in_failure
from clients.desktop.session import Asked, Session
from clients.desktop.sites import Sites
from clients.desktop.theme import kind, mark_wrong
from clients.desktop.trust import (
    Address,
    AddressError,
    Certificate,
    CertificateError,
    OtherCertificateError,
    Trusted,
    parse_address,
    trust,
)
from clients.desktop.widgets import Message, button, hidden, label, named, selectable
from clients.sdk import NotSignedInError, SignedIn

DEFAULT_ADDRESS = "127.0.0.1:5008"
WIDTH = 460


class SignInWindow(QWidget):
    """Emits `signed_in`; the session then is one. Nothing that was typed is lost by a failure, except by choice."""

    signed_in = Signal(object)
    """The SDK's `SignedIn`."""
    closed = Signal()
    """It was closed without signing in."""

    def __init__(
        self,
        session: Session,
        sites: Sites,
        title: str,
        *,
        addresses: tuple[str, ...] = (),
        fingerprints: tuple[str, ...] = (),
        needs: Right | None = None,
        ca: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """`addresses` and `fingerprints` are those of the configuration that the application was started with."""
        super().__init__(parent)
        self._session = session
        self._sites = sites
        self._needs = needs
        self._ca = ca
        self._fingerprints = fingerprints
        self._asked: Asked | None = None
        self._certificate: Certificate | None = None
        self._accepted: Certificate | None = None
        self._done = False
        self.setWindowTitle(f"Sign in to {title}")
        self.setMinimumWidth(WIDTH)
        self._build(title)
        known = [site.address for site in sites.known]
        listed = list(dict.fromkeys((*known, *addresses))) or [DEFAULT_ADDRESS]
        self.address.addItems(listed)
        self.user.setText(sites.user_of(listed[0]))
        self.address.textActivated.connect(self._address_chosen)
        self._first_empty().setFocus()

    # --- how it looks ---------------------------------------------------------------------------------------------

    def _build(self, title: str) -> None:
        self.address = named(QComboBox(editable=True), "Server address")
        self.address.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.user = named(QLineEdit(), "User name")
        self.password = named(QLineEdit(echoMode=QLineEdit.EchoMode.Password), "Password")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(10)
        for title_, field in (("&Server", self.address), ("&User", self.user), ("&Password", self.password)):
            form.addRow(title_, field)
        self._message = Message()
        self._panel, self._shown = self._make_certificate_panel()
        self._busy = hidden(named(QProgressBar(minimum=0, maximum=0, textVisible=False), "Signing in"))
        self.button = button("Sign in", self.submit, "main")
        self._cancel = hidden(button("Cancel", self._cancelled))
        for line in (self.address.lineEdit(), self.user, self.password):
            if line is not None:
                line.returnPressed.connect(self.submit)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self._cancel)
        buttons.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(28, 24, 28, 24)
        layout.setSpacing(14)
        layout.addWidget(label(title, "title"))
        layout.addLayout(form)
        layout.addWidget(self._message)
        layout.addWidget(self._panel)
        layout.addWidget(self._busy)
        layout.addLayout(buttons)
        layout.addStretch()

    def _make_certificate_panel(self) -> tuple[QFrame, QLabel]:
        frame = hidden(QFrame())
        kind(frame, "panel")
        shown = named(selectable(style="fingerprint"), "Certificate of the server")
        self.accept_certificate = button("Trust it", self._accept)
        inside = QVBoxLayout(frame)
        inside.addWidget(shown)
        inside.addWidget(self.accept_certificate)
        return frame, shown

    # --- what is typed --------------------------------------------------------------------------------------------

    @property
    def complaint(self) -> str:
        """The sentence and remedy on display; empty when there is none."""
        return self._message.text

    @property
    def fingerprint(self) -> str:
        """The fingerprint on display; empty when there is none."""
        return self._certificate.fingerprint if self._certificate and not self._panel.isHidden() else ""

    def again(self, sentence: str) -> None:
        """Ask again, because the session is over; address and user stand."""
        self._done = False
        self._complain(Failure(sentence, "Sign in again to go on.", "password"))
        self.password.clear()
        self.password.setFocus()

    def _address_chosen(self, address: str) -> None:
        if user := self._sites.user_of(address):
            self.user.setText(user)

    def _first_empty(self) -> QWidget:
        return self.password if self.user.text() else self.user

    # --- signing in -----------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """Sign in with what is typed."""
        if self._asked is not None:
            return
        self._clear()
        try:
            address = parse_address(self.address.currentText())
        except AddressError as error:
            self._complain(sign_in_failure(error, ""))
            return
        if not self.user.text().strip():
            self._complain(Failure("Give your user name.", field="user"))
            return
        self._set_busy(True)
        pinned = self._sites.certificate(address.place)
        if self._accepted is not None and self._accepted.place == address.place:
            pinned = self._accepted.pem
        self._asked = self._session.run(
            trust(address, pinned, self._ca, fingerprints=self._fingerprints),
            lambda trusted: self._trusted(address, trusted),
            lambda error: self._failed(address, error),
            owner=self,
        )

    def _trusted(self, address: Address, trusted: Trusted) -> None:
        if self._accepted is not None and self._accepted.place == address.place:
            self._sites.accept(address.place, self._accepted.pem)
        self._asked = self._session.sign_in(
            trusted,
            self.user.text().strip(),
            self.password.text(),
            self._begun,
            lambda error: self._failed(address, error),
            needs=self._needs,
            owner=self,
        )

    def _begun(self, signed_in: SignedIn) -> None:
        self._set_busy(False)
        self._sites.used(self.address.currentText().strip(), self.user.text().strip())
        self.password.clear()
        self._done = True
        self.signed_in.emit(signed_in)

    def _failed(self, address: Address, error: Exception) -> None:
        self._set_busy(False)
        self._complain(sign_in_failure(error, address.place))
        if isinstance(error, CertificateError):
            self._show(error.certificate, other=isinstance(error, OtherCertificateError))
        elif isinstance(error, NotSignedInError):
            self.password.selectAll()

    def _cancelled(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
        self._set_busy(False)

    # --- the certificate ------------------------------------------------------------------------------------------

    def _show(self, certificate: Certificate, *, other: bool) -> None:
        self._certificate = certificate
        pairs = certificate.fingerprint.split(":")
        half = len(pairs) // 2
        self._shown.setText(
            f"{certificate.subject}, valid until {certificate.valid_until}\n"
            f"SHA-256 fingerprint\n{':'.join(pairs[:half])}:\n{':'.join(pairs[half:])}"
        )
        self.accept_certificate.setText(
            "Trust this certificate instead of the old one" if other else "The fingerprint is right: trust it"
        )
        self._panel.setVisible(True)

    def _accept(self) -> None:
        self._accepted = self._certificate
        self.submit()

    # --- small pieces ---------------------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._message.clear()
        self._panel.setVisible(False)
        for field in (self.address, self.user, self.password):
            mark_wrong(field, False)

    def _complain(self, failure: Failure) -> None:
        self._message.say(failure)
        fields: dict[str, QWidget] = {"address": self.address, "user": self.user, "password": self.password}
        wrong = fields.get(failure.field)
        if wrong is not None:
            mark_wrong(wrong, True)
            wrong.setFocus()

    def _set_busy(self, busy: bool) -> None:  # noqa: FBT001 - one value, said by the name
        if not busy:
            self._asked = None
        self._busy.setVisible(busy)
        self._cancel.setVisible(busy)
        self.button.setEnabled(not busy)
        for field in (self.address, self.user, self.password):
            field.setEnabled(not busy)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Tell the application, which ends unless somebody has signed in."""
        self._cancelled()
        if not self._done:
            self.closed.emit()
        super().closeEvent(event)
