"""Watching a run or a dataset in a browser: a small server on this machine, for one reader, that only reads.

It listens on 127.0.0.1 alone. Whoever asks must know the random token in the address, must have asked this host by
name, and must not come from another site: a page on the web can reach 127.0.0.1 through its reader's browser.
"""

from __future__ import annotations

import secrets
import socket
from html import escape
from typing import TYPE_CHECKING, Any, Final

from forcedflow.errors import SettingsError, extra_needed
from forcedflow.report.parts import header, warning_list
from forcedflow.report.tearsheet import FOOTER, html_page, period, stage

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from forcedflow.report.film import Film

__all__ = ["application", "listen", "serve", "watch_page"]

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_MOST: Final = 100_000  # candles that one request may ask for


def watch_page(film: Film) -> str:
    """Return the page that plays a film; it asks for ``window`` beside its own address."""
    payload = {"bars": len(film)}
    body = [
        header(f"{escape(film.title)} <em>watched</em>", [period(film.bars)]),
        warning_list(film.notes),
        _CONTROLS.replace("<!--last-->", str(len(film))),
        stage(1),
        FOOTER,
    ]
    return html_page(f"{film.title}: watch", body, payload, "watch", connect="'self'")


def application(film: Film, token: str, hosts: tuple[str, ...]) -> Starlette:
    """Return the server's application.

    Parameters
    ----------
    token
        What an address must begin with.
    hosts
        ``host:port`` under which it may be asked: another one is a name that was pointed at this machine.
    """
    starlette = _starlette()

    def guarded(answer: Any) -> Any:
        def endpoint(request: Request) -> Response:
            refused = _refused(request, token, hosts)
            if refused:
                return starlette.PlainTextResponse(refused, 403, _HEADERS)
            response: Response = answer(request)
            response.headers.update(_HEADERS)
            return response

        return endpoint

    def page(_: Request) -> Response:
        return starlette.HTMLResponse(watch_page(film))

    def window(request: Request) -> Response:
        try:
            first, last, step = (int(request.query_params[name]) for name in ("first", "last", "step"))
        except (KeyError, ValueError):
            return starlette.PlainTextResponse("first, last and step must be whole numbers", 400)
        if step < 1 or last <= first or (last - first) / step > _MOST:
            return starlette.PlainTextResponse(f"a window has 1 to {_MOST} candles of at least 1 bar", 400)
        return starlette.JSONResponse(film.window(first, last, step))

    def nothing(_: Request) -> Response:
        return starlette.PlainTextResponse("nothing here", 404)

    routes = [
        starlette.Route("/{token}/", guarded(page)),
        starlette.Route("/{token}/window", guarded(window)),
        starlette.Route("/{rest:path}", guarded(nothing)),
    ]
    app: Starlette = starlette.Starlette(routes=routes)
    return app


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on 127.0.0.1, on any free port where 0 is given.

    Raises
    ------
    SettingsError
        The port is taken or forbidden.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.bind(("127.0.0.1", port))
    except OSError as error:
        found.close()
        raise SettingsError(f"cannot listen on 127.0.0.1:{port}: {error}; give another --port") from None
    return found


def serve(film: Film, port: int, ready: Any) -> None:
    """Serve until interrupted; ``ready`` is called with the address once it is known.

    Raises
    ------
    SettingsError
        The extra is not installed, or the port is taken.
    """
    _starlette()
    import uvicorn  # noqa: PLC0415  (an extra)

    listening = listen(port)
    host, token = f"127.0.0.1:{listening.getsockname()[1]}", secrets.token_urlsafe(18)
    app = application(film, token, (host, host.replace("127.0.0.1", "localhost")))
    ready(f"http://{host}/{token}/")
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


def _refused(request: Request, token: str, hosts: tuple[str, ...]) -> str:
    """Return why a request is refused, nothing where it is not."""
    given = request.path_params.get("token", request.url.path.strip("/").partition("/")[0])
    if request.headers.get("host") not in hosts:
        return "this server answers on 127.0.0.1 only"
    if request.headers.get("origin", f"http://{hosts[0]}") not in {f"http://{host}" for host in hosts}:
        return "this server answers its own pages only"
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return "this server answers its own pages only"
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "the address must hold the token that the command printed"
    return ""


class _Parts:
    """The parts of starlette that are used, imported when they are."""

    def __init__(self) -> None:
        from starlette.applications import Starlette  # noqa: PLC0415  (an extra)
        from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        self.Starlette, self.Route = Starlette, Route
        self.HTMLResponse, self.JSONResponse, self.PlainTextResponse = HTMLResponse, JSONResponse, PlainTextResponse


def _starlette() -> _Parts:
    try:
        import uvicorn  # noqa: F401, PLC0415  (an extra)

        return _Parts()
    except ImportError:
        raise extra_needed("watching", "starlette and uvicorn", "watch") from None


_CONTROLS: Final = """<section class="card player" aria-label="Player">
<button type="button" id="back" aria-label="One candle back" title="One candle back (left arrow)">◀</button>
<button type="button" id="play" aria-label="Play" title="Play or pause (space)">▶ Play</button>
<button type="button" id="on" aria-label="One candle on" title="One candle on (right arrow)">▶</button>
<input type="range" id="scrub" min="1" max="<!--last-->" value="1" step="1" aria-label="Bar">
<label>Speed <select id="speed"><option value="2">2 candles a second</option><option value="8" selected>8</option>
<option value="30">30</option><option value="60">60</option></select></label>
<label>In sight <select id="span"></select></label>
<output id="where"></output>
<ol id="told" aria-label="What happened, newest first"></ol></section>"""
