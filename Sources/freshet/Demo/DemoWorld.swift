// A small city whose figures change like those of real APIs: bikes move, prices drift, news come in, weather turns.

import FreshetCore
import JSON
import System

/// The state of the demo's upstream, one step a second. The same seed gives the same history.
struct DemoWorld: Sendable {
    /// A bike station, one item of a keyed collection.
    private struct Station: Hashable, Sendable {
        var id: Int
        var name: String
        var latitude: Double
        var longitude: Double
        var capacity: Int
        var bikes: Int
        var isOpen = true
    }

    private struct Headline: Sendable {
        var id: Int
        var text: String
        var at: WallTime
    }

    private var generator: SplitMix64
    private var stations: [Station] = []
    private var nextStation = 1
    private var prices: [(symbol: String, price: Double)] = []
    private var news: [Headline] = []
    private var nextHeadline = 1
    private var temperature = 11.5
    private var wind = 14.0
    private var sky = "cloudy"
    /// Changed by clients alone.
    var orders = DemoOrders()
    /// How often each resource has changed: its version, and its entity tag.
    private(set) var versions: [Resource: Int] = [:]

    /// What the upstream serves for reading; ``DemoOrders`` are apart.
    enum Resource: String, CaseIterable, Sendable {
        case stations, prices, news, weather

        /// The path, shaped like those of real APIs.
        var path: String { "/api/v1/\(self.rawValue)" }
    }

    static let stationCount = 40
    static let newsCount = 12

    init(seed: UInt64, now: WallTime) {
        self.generator = SplitMix64(seed: seed)
        for _ in 0..<Self.stationCount {
            self.openStation()
        }
        self.prices = [
            ("AUD", 1.6523), ("CAD", 1.4789), ("CHF", 0.9412), ("CZK", 25.31), ("DKK", 7.4606), ("GBP", 0.8571),
            ("INR", 90.12), ("JPY", 163.85), ("NOK", 11.62), ("PLN", 4.3120), ("SEK", 11.34), ("USD", 1.0812),
        ]
        for age in 0..<Self.newsCount {
            self.publishHeadline(at: WallTime(milliseconds: now.milliseconds - Int64(Self.newsCount - age) * 41_000))
        }
        for resource in Resource.allCases {
            self.versions[resource] = 1
        }
    }

    /// Lets one second pass.
    mutating func advance(now: WallTime) {
        self.moveBikes()
        self.driftPrices()
        if self.chance(1, in: 5) {
            self.publishHeadline(at: now)
            self.versions[.news, default: 0] += 1
        }
        if self.chance(1, in: 6) {
            self.turnWeather()
        }
    }

    private mutating func chance(_ part: Int, in whole: Int) -> Bool {
        Int.random(in: 0..<whole, using: &self.generator) < part
    }

    private mutating func pick(_ words: [String]) -> String {
        words.randomElement(using: &self.generator) ?? ""
    }
}

// MARK: - What happens

extension DemoWorld {
    private mutating func openStation() {
        let first = self.pick([
            "Harbour", "Mill", "Station", "Market", "Castle", "River", "Park", "Museum", "Garden", "Bridge",
        ])
        let second = self.pick(["Street", "Square", "Lane", "Gate", "Quay", "Road", "Corner", "Row"])
        let capacity = Int.random(in: 10...30, using: &self.generator)
        self.stations.append(
            Station(
                id: 100 + self.nextStation,
                name: "\(first) \(second) \(self.nextStation)",
                latitude: Double(Int.random(in: 52_480_000...52_540_000, using: &self.generator)) / 1e6,
                longitude: Double(Int.random(in: 13_350_000...13_450_000, using: &self.generator)) / 1e6,
                capacity: capacity,
                bikes: Int.random(in: 0...capacity, using: &self.generator)
            )
        )
        self.nextStation += 1
    }

    private mutating func moveBikes() {
        let before = self.stations
        for _ in 0..<Int.random(in: 0...3, using: &self.generator) {
            let from = Int.random(in: 0..<self.stations.count, using: &self.generator)
            let to = Int.random(in: 0..<self.stations.count, using: &self.generator)
            guard from != to, self.stations[from].bikes > 0, self.stations[to].bikes < self.stations[to].capacity
            else { continue }
            self.stations[from].bikes -= 1
            self.stations[to].bikes += 1
        }
        if self.chance(1, in: 25) {
            let index = Int.random(in: 0..<self.stations.count, using: &self.generator)
            self.stations[index].isOpen.toggle()
        }
        if self.chance(1, in: 40) {
            self.openStation()
        }
        if self.stations.count > Self.stationCount, self.chance(1, in: 30) {
            self.stations.remove(at: Int.random(in: 0..<self.stations.count, using: &self.generator))
        }
        if self.stations != before { self.versions[.stations, default: 0] += 1 }
    }

    private mutating func driftPrices() {
        let before = self.prices.map(\.price)
        for _ in 0..<Int.random(in: 0...2, using: &self.generator) {
            let index = Int.random(in: 0..<self.prices.count, using: &self.generator)
            let step = Double(Int.random(in: -9...9, using: &self.generator)) / 10_000
            let moved = self.prices[index].price * (1 + step)
            self.prices[index].price = (moved * 10_000).rounded() / 10_000
        }
        if self.prices.map(\.price) != before { self.versions[.prices, default: 0] += 1 }
    }

    private mutating func publishHeadline(at time: WallTime) {
        let who = self.pick([
            "City council", "Ferry line 7", "The observatory", "A local baker", "The zoo", "Tram 12", "The library",
        ])
        let what = self.pick([
            "opens late today", "announces a plan", "celebrates 50 years", "is delayed", "wins a prize", "moves house",
        ])
        self.news.insert(Headline(id: 9000 + self.nextHeadline, text: "\(who) \(what)", at: time), at: 0)
        self.nextHeadline += 1
        if self.news.count > Self.newsCount { self.news.removeLast() }
    }

    private mutating func turnWeather() {
        self.temperature += Double(Int.random(in: -2...2, using: &self.generator)) / 10
        self.wind = max(0, self.wind + Double(Int.random(in: -3...3, using: &self.generator)))
        if self.chance(1, in: 5) {
            self.sky = self.pick(["clear", "cloudy", "rain", "drizzle", "fog"])
        }
        self.versions[.weather, default: 0] += 1
    }
}

// MARK: - As documents

extension DemoWorld {
    /// The JSON text of a resource. `weather` says when it was written, so that its bytes always differ.
    func body(of resource: Resource, now: WallTime) -> [UInt8] {
        var json = JSONWriter()
        switch resource {
        case .stations: self.writeStations(to: &json)
        case .prices: self.writePrices(to: &json)
        case .news: self.writeNews(to: &json)
        case .weather: self.writeWeather(to: &json, now: now)
        }
        return json.text
    }

    /// A strong entity tag (RFC 9110 §8.8.3); none for the weather, whose bytes it could not name.
    func entityTag(of resource: Resource) -> String? {
        guard resource != .weather else { return nil }
        return "\"\(resource.rawValue)-\(self.versions[resource, default: 0])\""
    }

    private func writeStations(to json: inout JSONWriter) {
        json.array { json in
            for station in self.stations {
                json.object { json in
                    json.member("id", station.id)
                    json.member("name", station.name)
                    json.name("location")
                    json.object { json in
                        json.member("lat", station.latitude)
                        json.member("lon", station.longitude)
                    }
                    json.member("capacity", station.capacity)
                    json.member("bikes", station.bikes)
                    json.member("docks", station.capacity - station.bikes)
                    json.member("open", station.isOpen)
                }
            }
        }
    }

    private func writePrices(to json: inout JSONWriter) {
        json.object { json in
            json.member("base", "EUR")
            json.name("rates")
            json.object { json in
                for (symbol, price) in self.prices {
                    json.member(symbol, price)
                }
            }
        }
    }

    private func writeNews(to json: inout JSONWriter) {
        json.object { json in
            json.name("items")
            json.array { json in
                for headline in self.news {
                    json.object { json in
                        json.member("id", headline.id)
                        json.member("published_at", headline.at.description)
                        json.member("headline", headline.text)
                    }
                }
            }
        }
    }

    private func writeWeather(to json: inout JSONWriter, now: WallTime) {
        json.object { json in
            json.member("generated_at", now.description)
            json.member("place", "Harbour")
            json.member("temperature", (self.temperature * 10).rounded() / 10)
            json.member("wind", self.wind)
            json.member("sky", self.sky)
            json.name("forecast")
            json.array { json in
                for hour in 1...8 {
                    json.object { json in
                        json.member("hour", hour)
                        // The forecast is the same whatever happens, as forecasts are.
                        json.member("temperature", 11 + (hour * 7) % 4)
                        json.member("rain", (hour * 13) % 60)
                    }
                }
            }
        }
    }
}
