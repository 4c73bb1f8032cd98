"""The page and its server: everything comes from this machine, and only what is meant to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response

from fusionlab.explorer.feedback_tab import feedback_tab
from fusionlab.explorer.media import media_route
from fusionlab.explorer.reasons import Reasons
from fusionlab.explorer.recommend_tab import recommend_tab
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.tabs import compare_tab, your_item_tab
from fusionlab.explorer.widgets import QUIET

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
LARGEST = "20mb"
"""Of what may be uploaded."""
BODY = 21 * 2**20
"""Bytes of any request: a file of that size with what a form says of it."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio builds its parts from text
        "frame-ancestors 'self'",
    ]
)
"""A browser fetches nothing from anywhere else, whatever a page may ask of it."""
FONT = ["system-ui", "-apple-system", "Segoe UI", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "DejaVu Sans Mono", "monospace"]


def page(explorer: Explorer, reasons: Reasons | None = None) -> gr.Blocks:
    """The four tabs over the boards."""
    names = [(f"{one.title} · {one.dataset}", at) for at, one in enumerate(explorer.boards)]
    with gr.Blocks(
        title="fusionlab explorer", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as blocks:
        gr.Markdown("# fusionlab explorer")
        chosen = gr.Dropdown(names, value=0, label="Study and dataset", type="value")
        # tabs hear of it by a state: what hears a widget itself is asked one after the other, and
        # anew from the first while any of it is under way
        board, heard = gr.State(0), gr.State("")
        chosen.change(lambda index: index, chosen, board, **QUIET)
        with gr.Tabs():
            with gr.Tab("Compare"):
                compare_tab(explorer, board, blocks)
            with gr.Tab("Recommend") as tab:
                recommend_tab(explorer, board, blocks, tab, heard, reasons)
            with gr.Tab("Feedback") as tab:
                feedback_tab(explorer, board, tab, heard)
            with gr.Tab("Your item"):
                your_item_tab(explorer, board)
    return blocks


def application(
    explorer: Explorer, reasons: Reasons | None = None, hosts: Sequence[str] = LOOPBACK
) -> FastAPI:
    """The server's application; it answers only to requests for one of ``hosts`` ("*": any), and
    takes nothing that a browser sends from a page of another site, or that is larger than `BODY`.
    """
    untold: dict[str, Any] = {"openapi_url": None, "docs_url": None, "redoc_url": None}
    app = FastAPI(**untold)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.middleware("http")
    async def guarded(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != request.headers.get("host"):
            return PlainTextResponse("sent from another site", 403)
        if "transfer-encoding" in request.headers:
            return PlainTextResponse("of unknown length", 411)
        if int(request.headers.get("content-length", 0)) > BODY:
            return PlainTextResponse(f"larger than {LARGEST}", 413)
        response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    app.router.routes.append(media_route(explorer.catalogue))
    blocks = page(explorer, reasons)
    blocks.queue(default_concurrency_limit=os.cpu_count() or 1, api_open=False)
    return gr.mount_gradio_app(
        app,
        blocks,
        path="",
        app_kwargs=untold,
        footer_links=[],
        run_history=False,
        max_file_size=LARGEST,
        ssr_mode=False,
        show_error=False,
        theme=_theme(),
        css=STYLE,
    )


def _theme() -> gr.themes.Base:
    """Fonts of the reader's own machine, and greys that can be read (contrast 4.5 at least)."""
    theme = gr.themes.Base(font=FONT, font_mono=MONO, primary_hue="blue", neutral_hue="slate")
    greys = [
        "body_text_color_subdued",
        "block_info_text_color",
        "block_label_text_color",
        "block_title_text_color",
        "input_placeholder_color",
    ]
    dark = {f"{name}_dark": "*neutral_300" for name in greys}
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        **dict.fromkeys(greys, "*neutral_600"),
        **dark,
    )


def serve(
    explorer: Explorer, host: str = "127.0.0.1", port: int = 7860, reasons: Reasons | None = None
) -> None:
    """Serve until interrupted or terminated; what was uploaded goes with it. A host that is no
    loopback address lets everyone in who reaches it: there are no passwords, and whoever comes may
    write into the feedback logs."""
    hosts = LOOPBACK if host in LOOPBACK else ["*"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else nothing is left
    with TemporaryDirectory(prefix="fusionlab-uploads-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        uvicorn.run(
            application(explorer, reasons, hosts),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=1,  # browsers keep a stream open for as long as they look
        )
