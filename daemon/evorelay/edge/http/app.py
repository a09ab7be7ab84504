"""The Quart application: which address has which view. It holds no state of its own.

The gate serves it through Hypercorn and notes the direct peer in the scope as
``evorelay.peer``. An answer is never cached unless its view says otherwise.
"""

from quart import Response, redirect, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import (
    answer_to_fault,
    empty_answer,
    error_answer,
    json_answer,
)
from evorelay.edge.http.api_proxy import METHODS, ApiProxy
from evorelay.edge.http.backups import backup_routes
from evorelay.edge.http.console_pages import ConsolePages
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http.erasures import erasure_routes
from evorelay.edge.http.insight import insight_routes
from evorelay.edge.http.media import MediaFiles
from evorelay.edge.http.old_endpoints import (
    CHECK_PATH,
    SEND_PATH,
    TEST_PATH,
    OldEndpoints,
    beside_error,
)
from evorelay.edge.http.openapi import openapi_document
from evorelay.edge.http.ops import Ops
from evorelay.edge.http.reconciles import reconcile_routes
from evorelay.edge.http.replays import replay_routes
from evorelay.edge.http.replies import reply_routes
from evorelay.edge.http.rest import rest_routes
from evorelay.edge.http.route import REPLY_BYTES_MAX, view_of
from evorelay.edge.http.uploads import PATH as UPLOADS_PATH
from evorelay.edge.http.uploads import Bodies, MediaUploads
from evorelay.model.errors import Code
from evorelay.protocol.webhook import match_path
from evorelay.telemetry.metrics import Metrics

BODY_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = 60
"""For a client that does not read its answer."""
_PREFLIGHT_MAX_AGE_S = 600


def make_app(deps: HttpDeps) -> QuartTrio:
    """Return the ASGI application. Raises ConfigError for an origin or network in ``deps``."""
    app = QuartTrio("evorelay", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = REPLY_BYTES_MAX  # views that take less say so themselves
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.config["RESPONSE_TIMEOUT"] = ANSWER_TIMEOUT_S
    # No redirects to other spellings of an address: a redirect turns a POST into a GET.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    access = Access(deps.auth, deps.scrape, deps.authenticator)
    _add_rest(app, deps, access)
    _add_ops(app, Ops(deps, access, request))
    _add_old_endpoints(app, OldEndpoints(deps, access, request))
    proxy = ApiProxy(deps, access, request)
    app.add_url_rule("/api/<path:path>", "api", proxy.call, methods=METHODS)
    files = MediaFiles(request, access, deps.desk, deps.blobs)
    app.add_url_rule("/media/<media_id>", "media", files.file)
    uploads = MediaUploads(request, access, deps.uploads)
    app.add_url_rule(UPLOADS_PATH, "media_uploads", uploads.take, methods=["POST"])
    app.asgi_app = Bodies(app.asgi_app)  # type: ignore[method-assign]  # how middleware is added
    _add_console(app)
    _refuse_webhooks_by_get(app, deps.metrics)
    _add_headers(app, access)
    _add_answers_to_faults(app)
    return app


def _add_rest(app: QuartTrio, deps: HttpDeps, access: Access) -> None:
    routes = (
        *rest_routes(deps.desk, deps.reconnects),
        *reply_routes(deps.outbox),
        *replay_routes(deps.replay),
        *reconcile_routes(deps.reconciler),
        *insight_routes(deps.overview, deps.traces),
        *backup_routes(deps.backups),
        *erasure_routes(deps.eraser),
    )
    for route in routes:
        view = view_of(route, access, request)
        app.add_url_rule(route.quart_rule, route.name, view, methods=[route.method])
    document = openapi_document(routes, deps.version)

    async def openapi() -> Response:
        return json_answer(document)

    app.add_url_rule("/openapi.json", "openapi", openapi)


def _add_ops(app: QuartTrio, ops: Ops) -> None:
    app.add_url_rule("/livez", "livez", ops.livez)
    app.add_url_rule("/readyz", "readyz", ops.readyz)
    app.add_url_rule("/health", "health", ops.health)
    app.add_url_rule("/webhook/health", "webhook_health", ops.health)
    app.add_url_rule("/webhook/ws-stats", "ws_stats", ops.ws_stats)
    app.add_url_rule("/metrics", "metrics", ops.metrics)


def _add_old_endpoints(app: QuartTrio, old: OldEndpoints) -> None:
    app.add_url_rule(SEND_PATH, "old_send", old.send_message, methods=["POST"])
    app.add_url_rule(TEST_PATH, "old_test", old.test_send, methods=["POST"])
    app.add_url_rule(f"{CHECK_PATH}<name>", "old_check", old.check_instance)


def _add_answers_to_faults(app: QuartTrio) -> None:
    async def answer(fault: Exception) -> Response:
        return answer_to_fault(fault, **beside_error(request.path))

    app.register_error_handler(Exception, answer)


def _add_console(app: QuartTrio) -> None:
    pages = ConsolePages(request)

    async def home() -> WerkzeugResponse:
        return redirect("/console", 302)

    app.add_url_rule("/", "home", home)
    app.add_url_rule("/console", "console", pages.page)
    app.add_url_rule("/console/<path:name>", "console_file", pages.asset)


def _refuse_webhooks_by_get(app: QuartTrio, metrics: Metrics) -> None:
    async def refuse() -> Response | None:
        if request.method == "POST" or match_path(request.path) is None:
            return None
        if request.method == "GET":
            metrics.webhook_refused("redirect_suspected")
        response = error_answer(
            Code.METHOD_NOT_ALLOWED,
            "webhooks come by POST. If Evolution sent this, something redirected it, and a "
            "redirect turns its POST into a GET and loses the message: set the webhook URL to "
            "the final address (https instead of http, no other host name, no extra slash).",
        )
        response.headers["Allow"] = "POST"
        return response

    app.before_request(refuse)


def _add_headers(app: QuartTrio, access: Access) -> None:
    async def preflight() -> Response | None:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return empty_answer(204)
        return None

    async def headers(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        origin = request.headers.get("Origin")
        if origin is None:
            return response
        response.headers.add("Vary", "Origin")
        if access.allows_page(request):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_MAX_AGE_S)
        return response

    app.before_request(preflight)
    app.after_request(headers)
