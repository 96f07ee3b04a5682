"""Calls two vendors through the sidecar. There is nothing to install, and no token to handle."""

import json
import os
import urllib.request

sidecar = os.environ.get("BIPED_URL", "http://127.0.0.1:7417")

for path in ("/shop/v1/orders", "/exports/v1/exports"):
    with urllib.request.urlopen(sidecar + path, timeout=30) as response:
        print(path, response.status, json.load(response))
