"""Who may see and do what: the one place where objects are checked against a profile. Deny by default."""

from dataclasses import dataclass

from broker.model.resources import Profile, Right, User


@dataclass(frozen=True, slots=True)
class Access:
    """What one user may do. Servers build it from the user's token and their own copy of users and profiles."""

    user: User
    profile: Profile

    def camera(self, camera_id: str, right: Right | None = None) -> bool:
        """Whether the camera exists for the user and, with a right, whether that may be done with it."""
        return self._has(right) and self.profile.sees_camera(camera_id)

    def alarm(self, alarm_id: str, right: Right | None = None) -> bool:
        """Whether the alarm exists for the user and, with a right, whether that may be done with it."""
        return self._has(right) and self.profile.sees_alarm(alarm_id)

    @property
    def administer(self) -> bool:
        """Whether the user may configure the site."""
        return self._has(Right.ADMINISTER)

    def _has(self, right: Right | None) -> bool:
        return (
            self.user.enabled
            and self.user.profile_id == self.profile.id
            and (right is None or right in self.profile.rights)
        )
