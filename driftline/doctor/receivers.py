"""Where alerts are sent: an address that is none stops the monitor at its start, so it is found before."""

from collections.abc import Iterator

from driftline.doctor.finding import Finding, failing
from driftline.settings import Settings


def known(settings: Settings) -> Iterator[Finding]:
    """Addresses of `monitor.notify` and `monitor.chat` are of a service that Apprise knows; nothing is sent."""
    several = {"monitor.notify": settings.monitor.notify, "monitor.chat": settings.monitor.chat}
    several = {setting: addresses for setting, addresses in several.items() if addresses}
    if not several:
        return
    from driftline.roles.notify import sender
    from streams.secrets import SecretError, open_reference

    for setting, addresses in several.items():
        try:
            sender(map(open_reference, addresses), setting)
        except SecretError:  # a finding of `machine.secrets`
            continue
        except ValueError as error:
            yield failing("receivers", str(error), f'{setting} = ["json://host/path"], or slack://..., mailto://...')
        else:
            yield Finding("receivers", "ok", f"{setting}: {len(addresses)}, none tried")
