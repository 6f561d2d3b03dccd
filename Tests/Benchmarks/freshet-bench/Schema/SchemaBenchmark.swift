// What validation costs beside parsing: a document of 5 MB against a schema of the kind that is published for it.

import CLinux
import Foundation
import JSON
import JSONSchema

/// Parses and validates a GeoJSON document of 22,000 features, in turn, and prints both times and the ratio with its quartiles.
///
/// `--runs N` (9).
///
/// - Throws: where the schema is not one, or the document violates it.
func runSchemaBenchmark(arguments: [String]) throws {
    let runs = arguments.count == 2 && arguments[0] == "--runs" ? max(1, Int(arguments[1]) ?? 9) : 9
    let schema = try Schema(Document(parsing: Array(geoJSONSchema.utf8)), uri: "geojson.json")
    let body = DocumentSample.features(0..<22_000)
    var parsing: [Double] = []
    var validation: [Double] = []
    for _ in 0..<runs {
        let start = clinux_monotonic_ns()
        let document = try Document(parsing: body)
        let parsed = clinux_monotonic_ns()
        guard schema.violations(in: document).isEmpty else { throw BenchmarkFailure("a good document is refused") }
        parsing.append(Double(parsed - start) / 1e6)
        validation.append(Double(clinux_monotonic_ns() - parsed) / 1e6)
    }
    // A check that finds nothing must be able to.
    let text = String(decoding: body, as: UTF8.self).replacing("Point", with: "Pint")
    let wrong = try Document(parsing: Array(text.utf8))
    guard !schema.violations(in: wrong).isEmpty else { throw BenchmarkFailure("a wrong document passed") }
    let ratios = zip(validation, parsing).map { $0 / $1 }.sorted()
    print("schema: a GeoJSON document of \(body.count) bytes, medians of \(runs) runs")
    Table.row("", "ms", "to parsing", "lower", "upper")
    Table.row("parse", Table.ratio(parsing.sorted().quantile(0.5)), "1.00", "", "")
    Table.row(
        "validate",
        Table.ratio(validation.sorted().quantile(0.5)),
        Table.ratio(ratios.quantile(0.5)),
        Table.ratio(ratios.quantile(0.25)),
        Table.ratio(ratios.quantile(0.75))
    )
}

/// RFC 7946 as a schema: types by name, geometries by kind, positions of numbers.
private let geoJSONSchema = #"""
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "type": "object",
      "required": ["type", "features"],
      "properties": {
        "type": { "const": "FeatureCollection" },
        "features": { "type": "array", "items": { "$ref": "#/$defs/feature" } }
      },
      "$defs": {
        "feature": {
          "type": "object",
          "required": ["type", "properties", "geometry"],
          "properties": {
            "type": { "const": "Feature" },
            "id": { "oneOf": [{ "type": "number" }, { "type": "string" }] },
            "properties": {
              "oneOf": [
                { "type": "null" },
                {
                  "type": "object",
                  "properties": {
                    "mag": { "type": "number", "minimum": -2, "maximum": 11 },
                    "place": { "type": "string", "maxLength": 200 },
                    "time": { "type": "integer", "minimum": 0 },
                    "net": { "enum": ["us", "ak", "ci", "nc"] },
                    "code": { "type": "string", "pattern": "^[a-z0-9]+$" }
                  }
                }
              ]
            },
            "geometry": {
              "oneOf": [{ "type": "null" }, { "$ref": "#/$defs/point" }, { "$ref": "#/$defs/lineString" }]
            },
            "bbox": { "type": "array", "minItems": 4, "items": { "type": "number" } }
          }
        },
        "position": { "type": "array", "minItems": 2, "items": { "type": "number" } },
        "point": {
          "type": "object",
          "required": ["type", "coordinates"],
          "properties": { "type": { "const": "Point" }, "coordinates": { "$ref": "#/$defs/position" } }
        },
        "lineString": {
          "type": "object",
          "required": ["type", "coordinates"],
          "properties": {
            "type": { "const": "LineString" },
            "coordinates": { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/position" } }
          }
        }
      }
    }
    """#
