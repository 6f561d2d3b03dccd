// `/openapi.json`: the interface as it is built, for tools. A test holds it against the routes.

enum OpenAPI {
    /// OpenAPI 3.1.
    static let document = ##"""
        {
         "openapi": "3.1.0",
         "info": {
          "title": "Freshet", "version": "1", "description": "Streams and values of polled sources.",
          "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
         },
         "paths": {
          "/v1/streams/{sources}": {
           "get": {
            "summary": "An event stream of changes",
            "parameters": [
             {"$ref": "#/components/parameters/sources"}, {"$ref": "#/components/parameters/mode"},
             {"$ref": "#/components/parameters/since"},
             {
              "name": "Last-Event-ID", "in": "header",
              "description": "The cursor to resume after; wins over `since`.", "schema": {"type": "string"}
             }
            ],
            "responses": {
             "200": {
              "description": "The stream: hello, snapshots, then every change once and in order.",
              "content": {"text/event-stream": {}, "application/x-ndjson": {}}
             },
             "400": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"},
             "406": {"$ref": "#/components/responses/Problem"}, "503": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/values/{source}": {
           "get": {
            "summary": "The current value, or with `at` that of the past",
            "parameters": [
             {"$ref": "#/components/parameters/source"}, {"$ref": "#/components/parameters/wait"},
             {
              "name": "since", "in": "query",
              "description": "With `wait`: the cursor of the value that the client has, or `latest` for the present one.",
              "schema": {"type": "string"}
             },
             {
              "name": "at", "in": "query",
              "description": "The value as it was: a cursor, a duration back from now (`10m`) or a time (RFC 3339).",
              "schema": {"type": "string"}
             },
             {
              "name": "If-None-Match", "in": "header", "description": "Tags that the client has.",
              "schema": {"type": "string"}
             }
            ],
            "responses": {
             "200": {
              "description": "The JSON text of the upstream, with ETag, Age, Cache-Control and Freshet-Cursor.",
              "content": {"application/json": {}}
             },
             "304": {"description": "The client has this value."}, "400": {"$ref": "#/components/responses/Problem"},
             "404": {"$ref": "#/components/responses/Problem"}, "410": {"$ref": "#/components/responses/Problem"},
             "503": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/changes/{sources}": {
           "get": {
            "summary": "The change log",
            "parameters": [
             {"$ref": "#/components/parameters/sources"}, {"$ref": "#/components/parameters/since"},
             {
              "name": "limit", "in": "query", "description": "The most events in one answer.",
              "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
             },
             {
              "name": "descending", "in": "query",
              "description": "The newest events first; `since` is then where to stop.",
              "schema": {"type": "boolean", "default": false}, "allowEmptyValue": true
             },
             {
              "name": "before", "in": "query",
              "description": "With `descending`: only events before this cursor, which an answer gives.",
              "schema": {"type": "string"}
             },
             {"$ref": "#/components/parameters/wait"}, {"$ref": "#/components/parameters/mode"}
            ],
            "responses": {
             "200": {
              "description": "Events and the cursor to continue with; of lines, the last is then a `checkpoint`.",
              "content": {
               "application/json": {"schema": {"$ref": "#/components/schemas/Changes"}}, "application/x-ndjson": {}
              }
             },
             "400": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"},
             "406": {"$ref": "#/components/responses/Problem"}, "503": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/sources": {
           "get": {
            "summary": "Every source and its state, at most a second old",
            "parameters": [
             {
              "name": "limit", "in": "query", "description": "The most sources in one answer.",
              "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}
             },
             {
              "name": "after", "in": "query",
              "description": "What the page before gave as `next`, and in `Link`.", "schema": {"type": "string"}
             }
            ],
            "responses": {
             "400": {"$ref": "#/components/responses/Problem"},
             "200": {
              "description": "Sources in the order in which they were added; `next` where there are more.",
              "content": {
               "application/json": {
                "schema": {
                 "type": "object", "required": ["sources", "cursor"],
                 "properties": {
                  "sources": {"type": "array", "items": {"$ref": "#/components/schemas/Source"}},
                  "cursor": {"type": "string"}, "next": {"type": "string"}
                 }
                }
               }
              }
             }
            }
           }
          },
          "/v1/sources/{source}": {
           "get": {
            "summary": "One source and its state", "parameters": [{"$ref": "#/components/parameters/source"}],
            "responses": {
             "200": {
              "description": "The source.",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Source"}}}
             },
             "404": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/sources/{source}/value": {
           "post": {
            "summary": "Publish a new value, with the grant `publish`",
            "parameters": [{"$ref": "#/components/parameters/source"}],
            "requestBody": {"required": true, "content": {"application/json": {}}},
            "responses": {
             "200": {
              "description": "The cursor of the value that holds now.",
              "content": {
               "application/json": {
                "schema": {
                 "type": "object", "required": ["cursor", "changed"],
                 "properties": {"cursor": {"type": "string"}, "changed": {"type": "boolean"}}
                }
               }
              }
             },
             "401": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"},
             "413": {"$ref": "#/components/responses/Problem"}, "422": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/me": {
           "get": {
            "summary": "Who calls, and what it may do",
            "responses": {
             "200": {
              "description": "Grants name sources as a path does.",
              "content": {
               "application/json": {
                "schema": {
                 "type": "object", "required": ["id", "kind", "read", "write", "publish", "admin", "expires_at"],
                 "properties": {
                  "id": {"type": "string"},
                  "kind": {"enum": ["anonymous", "key", "jwt", "certificate", "administrator"]},
                  "read": {"type": "array", "items": {"type": "string"}},
                  "write": {"type": "array", "items": {"type": "string"}},
                  "publish": {"type": "array", "items": {"type": "string"}}, "admin": {"type": "boolean"},
                  "expires_at": {"type": ["string", "null"], "format": "date-time"}
                 }
                }
               }
              }
             },
             "401": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/sources/{source}/value": {
           "post": {
            "summary": "Push a new representation", "parameters": [{"$ref": "#/components/parameters/source"}],
            "requestBody": {"required": true, "content": {"application/json": {}}},
            "responses": {
             "200": {
              "description": "The cursor of the value that holds now.",
              "content": {
               "application/json": {
                "schema": {
                 "type": "object", "required": ["cursor", "changed"],
                 "properties": {"cursor": {"type": "string"}, "changed": {"type": "boolean"}}
                }
               }
              }
             },
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"},
             "413": {"$ref": "#/components/responses/Problem"}, "422": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/sources/{source}/poll": {
           "post": {
            "summary": "Poll at once", "parameters": [{"$ref": "#/components/parameters/source"}],
            "responses": {
             "200": {
              "description": "How the poll ended.",
              "content": {
               "application/json": {
                "schema": {
                 "type": "object", "required": ["outcome", "cursor"],
                 "properties": {"outcome": {"type": "string"}, "cursor": {"type": ["string", "null"]}}
                }
               }
              }
             },
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"},
             "502": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/sources/{source}/pause": {
           "post": {
            "summary": "Stop polling", "parameters": [{"$ref": "#/components/parameters/source"}],
            "responses": {
             "200": {
              "description": "The source.",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Source"}}}
             },
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/sources/{source}/resume": {
           "post": {
            "summary": "Poll again", "parameters": [{"$ref": "#/components/parameters/source"}],
            "responses": {
             "200": {
              "description": "The source.",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Source"}}}
             },
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}, "404": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/reload": {
           "post": {
            "summary": "Read the configuration again",
            "responses": {
             "200": {"description": "It is in force.", "content": {"application/json": {}}},
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}, "422": {"$ref": "#/components/responses/Problem"},
             "501": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/subscribers": {
           "get": {
            "summary": "Who listens",
            "responses": {
             "200": {"description": "Subscribers, 10,000 at most.", "content": {"application/json": {}}},
             "401": {"$ref": "#/components/responses/Problem"}, "403": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/v1/admin/subscribers/{id}": {
           "delete": {
            "summary": "End a stream",
            "parameters": [
             {
              "name": "id", "in": "path", "description": "Of a subscriber in the list.", "schema": {"type": "string"},
              "required": true
             }
            ],
            "responses": {
             "204": {"description": "It was told to go."}, "403": {"$ref": "#/components/responses/Problem"},
             "404": {"$ref": "#/components/responses/Problem"}
            }
           }
          },
          "/livez": {
           "get": {
            "summary": "Whether the process lives",
            "responses": {"200": {"description": "It does.", "content": {"text/plain": {}}}}
           }
          },
          "/readyz": {
           "get": {
            "summary": "Whether clients should come here",
            "parameters": [
             {"name": "verbose", "in": "query", "description": "Say more.", "schema": {"type": "string"}}
            ],
            "responses": {
             "200": {"description": "Ready.", "content": {"text/plain": {}}},
             "503": {"description": "Starting or draining.", "content": {"text/plain": {}}}
            }
           }
          },
          "/healthz": {
           "get": {
            "summary": "As /readyz",
            "responses": {
             "200": {"description": "Ready.", "content": {"text/plain": {}}},
             "503": {"description": "Starting or draining.", "content": {"text/plain": {}}}
            }
           }
          },
          "/metrics": {
           "get": {
            "summary": "Metrics as Prometheus text",
            "responses": {"200": {"description": "Metrics.", "content": {"text/plain": {}}}}
           }
          },
          "/openapi.json": {
           "get": {
            "summary": "This document",
            "responses": {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {}}}}
           }
          },
          "/": {
           "get": {
            "summary": "A page for people",
            "responses": {"200": {"description": "The page.", "content": {"text/html": {}}}}
           }
          },
          "/client/freshet.js": {
           "get": {
            "summary": "A client for browsers",
            "responses": {"200": {"description": "An ES module.", "content": {"text/javascript": {}}}}
           }
          }
         },
         "components": {
          "schemas": {
           "Problem": {
            "type": "object", "required": ["type", "title", "status", "code", "detail"],
            "properties": {
             "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
             "code": {"type": "string", "description": "What programs tell problems apart by."},
             "detail": {"type": "string"}
            }
           },
           "Changes": {
            "type": "object", "required": ["events", "cursor", "gap"],
            "properties": {
             "events": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
             "cursor": {"type": "string"}, "before": {"type": "string"}, "gap": {"type": "boolean"},
             "reason": {"enum": ["evicted", "epoch", "future", "malformed"]}
            }
           },
           "Event": {
            "type": "object", "required": ["event", "data"],
            "properties": {
             "id": {"type": "string"}, "event": {"enum": ["snapshot", "patch", "merge", "items", "checkpoint"]},
             "data": {
              "type": "object", "required": ["source"],
              "properties": {
               "source": {"type": "string"}, "at": {"type": "string", "format": "date-time"}, "value": {},
               "patch": {"type": "array"}, "merge": {}, "items": {"type": "object"}
              }
             }
            }
           },
           "Source": {
            "type": "object",
            "required": [
             "name", "state", "state_since", "last_error", "interval", "interval_reason", "next_poll_at",
             "last_success_at", "validator", "collection", "warnings", "polls", "not_modified", "unchanged", "changes",
             "failures", "consecutive_failures", "flaps", "bytes", "subscribers", "cursor", "value_bytes"
            ],
            "properties": {
             "name": {"type": "string"},
             "state": {"enum": ["starting", "ok", "stale", "backoff", "failing", "paused"]},
             "state_since": {"type": "string"},
             "last_error": {
              "type": ["object", "null"],
              "properties": {"kind": {"type": "string"}, "message": {"type": "string"}, "at": {"type": "string"}}
             },
             "interval": {"type": "string"}, "interval_reason": {"type": "string"},
             "next_poll_at": {"type": ["string", "null"]}, "last_success_at": {"type": ["string", "null"]},
             "validator": {
              "type": "object",
              "properties": {"etag": {"type": ["string", "null"]}, "last_modified": {"type": ["string", "null"]}}
             },
             "collection": {
              "type": ["object", "null"],
              "properties": {
               "items": {"type": "string"}, "key": {"type": ["string", "null"]},
               "origin": {"enum": ["guessed", "configured"]}
              }
             },
             "warnings": {
              "type": "array",
              "items": {
               "type": "object",
               "properties": {"kind": {"type": "string"}, "message": {"type": "string"}}
              }
             },
             "consecutive_failures": {"type": "integer"}, "flaps": {"type": "integer"},
             "polls": {"type": "integer"}, "not_modified": {"type": "integer"}, "unchanged": {"type": "integer"},
             "changes": {"type": "integer"}, "failures": {"type": "integer"}, "bytes": {"type": "integer"},
             "subscribers": {"type": "integer"}, "value_bytes": {"type": "integer"},
             "cursor": {"type": ["string", "null"]}
            }
           }
          },
          "responses": {
           "Problem": {
            "description": "The request cannot be met.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           }
          },
          "parameters": {
           "sources": {
            "name": "sources", "in": "path",
            "description": "Names of sources, separated by commas; each may end in `*`.",
            "schema": {"type": "string"}, "required": true
           },
           "mode": {
            "name": "mode", "in": "query",
            "description": "The form of a change: RFC 6902, RFC 7396, keyed items (a `checkpoint` where none is touched), or the whole value.",
            "schema": {"enum": ["patch", "merge", "items", "snapshot"], "default": "patch"}
           },
           "since": {
            "name": "since", "in": "query",
            "description": "A cursor, a duration back from now (`10m`), a time (RFC 3339), `latest` or `earliest`.",
            "schema": {"type": "string"}
           },
           "source": {
            "name": "source", "in": "path", "description": "The name of a source.", "schema": {"type": "string"},
            "required": true
           },
           "wait": {
            "name": "wait", "in": "query",
            "description": "How long to wait for a change, such as `30s`; at most 5 minutes.",
            "schema": {"type": "string"}
           }
          }
         }
        }

        """##
}
