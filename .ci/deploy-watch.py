"""What a Prometheus says of a gateway; for `.ci/deploy dashboard`.

deploy-watch.py URL DASHBOARD expressions   every expression of the dashboard returns data, of which some is a number
deploy-watch.py URL silent                  no alert fires for eight seconds, four times the `for:` of the exercise
deploy-watch.py URL fires NAME…             each of these fires within half a minute
"""

import json
import math
import sys
import time
import urllib.parse
import urllib.request

PATIENCE = 30.0


def query(url, expression):
    """The samples of an instant query."""
    parameters = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{parameters}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def firing(url):
    return {sample["metric"]["alertname"] for sample in query(url, 'ALERTS{alertstate="firing"}')}


def expressions(path):
    """Title and expression of each target, with the dashboard's variables filled in."""
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job", "instance", "source"}, variables
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "10s").replace("$job", "freshet")
            text = text.replace("$instance", ".+").replace("$source", ".+")
            assert "$" not in text, text
            yield panel["title"], text


def has_data(url, expression):
    return any(not math.isnan(float(sample["value"][1])) for sample in query(url, expression))


def main():
    url, rest = sys.argv[1], sys.argv[2:]
    deadline = time.monotonic() + PATIENCE
    if rest[-1] == "expressions":
        waiting = list(expressions(rest[0]))
        count = len(waiting)
        while waiting and time.monotonic() < deadline:
            waiting = [(title, text) for title, text in waiting if not has_data(url, text)]
            time.sleep(0.5)
        for title, text in waiting:
            print(f"no data: {title}: {text}")
        print(f"{count - len(waiting)} of {count} expressions have data")
        return 1 if waiting else 0
    if rest == ["silent"]:
        names = set()
        for _ in range(16):
            names |= firing(url)
            time.sleep(0.5)
        if names:
            print("alerts of a calm run:", *sorted(names))
        return 1 if names else 0
    wanted = set(rest[1:])
    while time.monotonic() < deadline:
        if wanted <= firing(url):
            print("fire:", *sorted(wanted))
            return 0
        time.sleep(0.5)
    print("do not fire:", *sorted(wanted - firing(url)))
    return 1


sys.exit(main())
