"""How uvicorn serves the web role: its address, TLS, whose word counts on who asks, and how long a header may be."""

import uvicorn
from starlette.applications import Starlette

from node.config import Settings
from node.errors import ConfigError
from node.web.protocol import FileProtocol

LONGEST_HEADER = 1 << 16

PING = 10.0
"""Seconds between two questions to a WebSocket's other end whether it is there, and for its answer."""

GOODBYE = 5
"""Seconds that answers under way are given when the role stops."""


def configure_server(settings: Settings, application: Starlette, *, viewer: bool = False) -> uvicorn.Config:
    """A configuration that has been loaded. viewer: of the server at web.viewer_port, beside the one that begins and
    ends what the application does of itself. Raises ConfigError where certificate or key cannot be used.

    h11 and no other parser: it is the one that limits how long a header may become.
    """
    web = settings.web
    config = uvicorn.Config(
        application,
        host=web.host,
        port=web.viewer_port if viewer else web.port,
        lifespan="off" if viewer else "auto",
        http=FileProtocol,
        ws="websockets-sansio",
        ws_max_size=LONGEST_HEADER,
        ws_per_message_deflate=False,  # events are short, and many connections would each hold a window
        ws_ping_interval=PING,
        ws_ping_timeout=PING,
        h11_max_incomplete_event_size=LONGEST_HEADER,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GOODBYE,
        ssl_certfile=web.cert,
        ssl_keyfile=web.key,
        proxy_headers=bool(web.behind_proxy),
        forwarded_allow_ips=[str(network) for network in web.behind_proxy],
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise ConfigError(f"web.cert {web.cert}, web.key {web.key}: {error}") from error
    return config
