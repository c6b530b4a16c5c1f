"""An HTTP client inside a test's network namespace: a process, because a namespace can't be entered by a thread without
privileges. Reads requests from standard input, one JSON object a line, and prints an object for each: the status and
the body, or an error."""

import http.client
import json
import sys
from urllib.parse import urlsplit

# Seconds; longer than a browser takes to start on a busy machine.
TIMEOUT = 60


def answer(request):
    url = urlsplit(request["url"])
    path = url.path + (f"?{url.query}" if url.query else "")
    connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)
    try:
        body = request["body"].encode() if request["body"] else None
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(request["method"], path, body, headers)
        response = connection.getresponse()
        return {"status": response.status, "body": response.read().decode()}
    except (OSError, http.client.HTTPException) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


for line in sys.stdin.buffer:
    print(json.dumps(answer(json.loads(line))), flush=True)
