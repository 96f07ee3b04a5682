"""A token endpoint for what is measured here."""

import http.server
import json


class Tokens(http.server.BaseHTTPRequestHandler):
    """A token endpoint."""

    asked = 0

    def do_POST(self):
        Tokens.asked += 1
        self.rfile.read(int(self.headers.get("content-length", 0)))
        token = {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 86400}
        body = json.dumps(token).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
