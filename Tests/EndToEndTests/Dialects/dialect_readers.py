"""Reads a recorded upstream through the gateway with the published clients of two dialects, and compares every value.

usage: dialect_readers.py KIND URL FOLDER RESUMES

FOLDER holds the values that the source must have had, as 0.json, 1.json and so on, neighbours different. Prints one JSON
object: {"values": how many were seen, "resumes": how many times reading went on elsewhere, "ids": different events}.
Exits with a message where a value differs.
"""

import json
import os
import random
import sys
import urllib.request


def fail(message):
    sys.exit(message)


def load(folder):
    names = sorted(os.listdir(folder), key=lambda name: int(name.split(".")[0]))
    values = []
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            values.append(json.load(file))
    return values


def descend(document, tokens):
    for token in tokens:
        document = document[int(token)] if isinstance(document, list) else document[token]
    return document


def apply(document, patch):
    """Applies an RFC 6902 document; the value itself may be replaced."""
    holder = {"": document}
    for step in patch:
        tokens = [""] + [t.replace("~1", "/").replace("~0", "~") for t in step["path"].split("/")[1:]]
        parent, last = descend(holder, tokens[:-1]), tokens[-1]
        kind = step["op"]
        if kind in ("move", "copy"):
            source = [""] + [t.replace("~1", "/").replace("~0", "~") for t in step["from"].split("/")[1:]]
            origin = descend(holder, source[:-1])
            key = int(source[-1]) if isinstance(origin, list) else source[-1]
            value = origin[key]
            if kind == "copy":
                value = json.loads(json.dumps(value))
            else:
                del origin[key]
            parent = descend(holder, tokens[:-1])
        elif kind != "remove":
            value = step["value"]
        if kind == "test":
            if descend(parent, [last]) != value:
                fail("a test of a patch does not hold")
        elif isinstance(parent, list):
            index = len(parent) if last == "-" else int(last)
            if kind == "remove":
                del parent[index]
            elif kind == "replace":
                parent[index] = value
            else:
                parent.insert(index, value)
        elif kind == "remove":
            del parent[last]
        else:
            parent[last] = value
    return holder[""]


def step(document, data):
    if "value" in data:
        return data["value"]
    # The patch may be applied to a document that is compared later.
    return apply(json.loads(json.dumps(document)), data["patch"])


def events(url, last_id=None):
    """The events of a stream as (id, name, data)."""
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
    if last_id:
        request.add_header("Last-Event-ID", last_id)
    fields = {}
    with urllib.request.urlopen(request, timeout=60) as answer:
        for raw in answer:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value[1:] if value.startswith(" ") else value
                continue
            if "data" in fields:
                yield fields.get("id"), fields.get("event"), fields["data"]
            fields = {}


def cloud_events(url, values, resumes, _):
    from cloudevents.core.formats.json import JSONFormat

    reader = JSONFormat()
    seen = {}

    def read(text):
        event = reader.read(None, text)
        key = (event.get_source(), event.get_id())
        data = event.get_data()
        if seen.setdefault(key, data) != data and "value" not in data:
            fail(f"two events have the id {key}")
        if event.get_specversion() != "1.0" or not event.get_type().startswith("freshet."):
            fail(f"the attributes are {event.get_attributes()}")
        return event, data

    # Every value, with the position that it is resumed from.
    starts = []
    document = None
    sequence = ""
    for identifier, name, text in events(f"{url}?envelope=cloudevents&since=earliest"):
        if name not in ("snapshot", "patch"):
            continue
        event, data = read(text)
        if event.get_extension("sequence") <= sequence:
            fail("sequences do not rise")
        sequence = event.get_extension("sequence")
        if event.get_id() != identifier:
            fail("the event has another id than the stream")
        document = step(document, data)
        if document != values[len(starts)]:
            fail(f"value {len(starts)} differs")
        starts.append((identifier, document))
        if len(starts) == len(values):
            break
    count = 0
    for _ in range(resumes if len(starts) > 1 else 0):
        index = random.randrange(len(starts) - 1)
        end = min(len(starts), index + 1 + random.randint(1, 25))
        document = starts[index][1]
        position = index + 1
        for identifier, name, text in events(f"{url}?envelope=cloudevents", starts[index][0]):
            if name not in ("snapshot", "patch"):
                continue
            document = step(document, read(text)[1])
            if (identifier, document) != starts[position]:
                fail(f"resumed from {index}: value {position} differs")
            position += 1
            if position == end:
                break
        count += 1
    return {"values": len(starts), "resumes": count, "ids": len(seen)}


def durable_streams(url, values, resumes, offsets_file):
    from durable_streams import stream

    # Page by page and message by message: the offset behind each page is a place to resume from.
    with stream(url, live=False) as answer:
        messages = list(answer.iter_json())
        end = answer.offset
    document = None
    for index, message in enumerate(messages):
        document = step(document, message)
        if document != values[index]:
            fail(f"value {index} differs")
    if len(messages) != len(values):
        fail(f"{len(messages)} values, not {len(values)}")
    with stream(url, offset=end, live=False) as answer:
        if list(answer.iter_json()):
            fail("there is something behind the end")
    # Positions between, as they were given to one that followed.
    starts = {-1: "-1", len(values) - 1: end}
    if os.path.exists(offsets_file):
        with open(offsets_file) as file:
            starts.update({int(index): offset for index, offset in json.load(file).items()})
    count = 0
    document_at = {}
    document = None
    for index, message in enumerate(messages):
        document = step(document, message)
        document_at[index] = document
    for _ in range(resumes):
        index = random.choice(list(starts))
        live = random.choice([False, "long-poll", "sse"])
        if index == len(values) - 1:
            live = False
        document = document_at.get(index)
        position = index + 1
        with stream(url, offset=starts[index], live=live) as answer:
            for message in answer.iter_json():
                document = step(document, message)
                if document != values[position]:
                    fail(f"resumed from {index} by {live}: value {position} differs")
                position += 1
                if position == len(values):
                    break
        if position != len(values):
            fail(f"resumed from {index} by {live}: ended at {position}")
        count += 1
    return {"values": len(messages), "resumes": count, "ids": len(starts)}


def durable_live(url, values, _, offsets_file):
    """Follows from the beginning while the values come, and goes on at another connection now and then."""
    from durable_streams import stream

    document = None
    position = 0
    offset = "-1"
    offsets = {}
    resumes = 0
    while position < len(values):
        with stream(url, offset=offset, live=random.choice(["sse", "long-poll"])) as answer:
            for event in answer.iter_events(mode="json"):
                for message in event.data:
                    document = step(document, message)
                    if document != values[position]:
                        fail(f"value {position} differs")
                    position += 1
                if event.next_offset < offset and offset != "-1":
                    fail("offsets do not rise")
                offset = event.next_offset
                offsets[position - 1] = offset
                if position == len(values) or random.random() < 0.2:
                    break
        resumes += 1
    with open(offsets_file, "w") as file:
        json.dump(offsets, file)
    return {"values": position, "resumes": resumes, "ids": len(offsets)}


def main():
    kind, url, folder, resumes = sys.argv[1:5]
    readers = {"cloudevents": cloud_events, "durable": durable_streams, "durable-live": durable_live}
    random.seed(7)
    offsets_file = folder.rstrip("/") + ".offsets"
    print(json.dumps(readers[kind](url, load(folder), int(resumes), offsets_file)))


main()
