"""Follows a stream as programs in Python do, and writes each event as it comes.

stream_readers.py LIBRARY CODING URL: LIBRARY is `http.client` with zlib, `requests`, `httpx`, or `httpx2` over HTTP/2.
"""

import http.client
import ssl
import sys
import urllib.parse
import zlib


def show(line):
    if line:
        print(line, flush=True)


def by_zlib(coding, url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(parts.netloc, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path, headers={"Accept-Encoding": coding})
    answer = connection.getresponse()
    show(f"{answer.status} {answer.headers['Content-Encoding']} {answer.headers['Vary']}")
    decoder, rest = zlib.decompressobj(31), b""
    while piece := answer.read1(65536):
        rest += decoder.decompress(piece)
        *lines, rest = rest.split(b"\n")
        for line in lines:
            show(line.decode())


def by_requests(coding, url):
    import requests
    import urllib3

    urllib3.disable_warnings()
    with requests.get(url, headers={"Accept-Encoding": coding}, stream=True, verify=False) as answer:
        show(f"{answer.status_code} {answer.headers['Content-Encoding']} {answer.headers['Vary']}")
        # One by one: more would be waited for.
        for line in answer.iter_lines(chunk_size=1):
            show(line.decode())


def by_httpx(coding, url, http2):
    import httpx

    with httpx.Client(http2=http2, verify=False, timeout=60) as client:
        with client.stream("GET", url, headers={"Accept-Encoding": coding}) as answer:
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1"), answer.http_version
            show(f"{answer.status_code} {answer.headers['Content-Encoding']} {answer.headers['Vary']}")
            for line in answer.iter_lines():
                show(line)


def main():
    library, coding, url = sys.argv[1:]
    if library == "http.client":
        by_zlib(coding, url)
    elif library == "requests":
        by_requests(coding, url)
    else:
        by_httpx(coding, url, library == "httpx2")
    show("end")


main()
