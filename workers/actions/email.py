"""Send a letter about an alarm."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from broker.model.actions import EmailSettings
from workers import templates
from workers.action import Attempt, Tools, action
from workers.errors import ActionError, TransientActionError
from workers.settings import EngineGroup

REPEATED = "This letter may have been sent before: the first attempt ended without an answer."

PERMANENT = 500
"""SMTP replies from here on are refusals for good (RFC 5321, section 4.2.1)."""


@action(EmailSettings)
def email(attempt: Attempt, settings: EmailSettings, tools: Tools) -> str:
    """Hand the letter to the mail server of the settings."""
    letter = compose(attempt, settings, tools.mail.smtp_from)
    try:
        server = _connect(tools.mail, attempt.time_limit_s)
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TransientActionError(f"the mail server does not answer: {error}") from error
    try:
        refused = server.send_message(letter)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _refused(code, text) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TransientActionError(f"the mail server fell silent: {error}", in_doubt=True) from error
    finally:
        server.close()  # without QUIT: the letter is accepted, and a slow farewell must not make it doubtful
    return f"refused for {', '.join(sorted(refused))}" if refused else ""


def compose(attempt: Attempt, settings: EmailSettings, sender: str) -> EmailMessage:
    """The letter. All attempts have one Message-ID, so mail programs can show it once."""
    fields = templates.values(attempt.raised, action_id=attempt.action_id, attempt=attempt.number)
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = ", ".join(settings.to)
    letter["Subject"] = " ".join(templates.fill(settings.subject, fields).split())
    letter["Date"] = format_datetime(attempt.raised.at)
    letter["Message-ID"] = f"<{attempt.action_id}@{sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    text = templates.fill(settings.text, fields)
    if attempt.repeated:
        letter["Vigil-Repeated"] = "yes"
        text = f"{text.rstrip()}\n\n{REPEATED}\n"
    letter.set_content(text)
    return letter


def _connect(mail: EngineGroup, timeout_s: float) -> smtplib.SMTP:
    server = smtplib.SMTP(mail.smtp_host, mail.smtp_port, timeout=timeout_s)
    try:
        if mail.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if mail.smtp_user:
            server.login(mail.smtp_user, mail.smtp_password.get_secret_value())
    except BaseException:
        server.close()
        raise
    return server


def _refused(code: int, text: bytes | str) -> ActionError:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    reason = f"the mail server says {code} {said}"
    return ActionError(reason) if code >= PERMANENT else TransientActionError(reason)
