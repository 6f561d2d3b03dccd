// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every Swift target: strict concurrency, no implicit re-exports, no warning left standing.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "freshet",
    // The program runs on Linux; the others are for the client.
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: [
        .library(name: "FreshetClient", targets: ["FreshetClient"]),
        .executable(name: "freshet", targets: ["freshet"]),
        .executable(name: "freshet-bench", targets: ["freshet-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.1.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    ],
    targets: [
        // Layer 0: formats and the system, each usable on its own.
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CCodings", linkerSettings: [.linkedLibrary("dl")]),
        .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .target(name: "CIconv"),
        .target(name: "CLinux"),
        .target(name: "CMinify"),
        .target(name: "CNATS", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CSignals"),
        .target(name: "CTLS", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .target(name: "CWeb", exclude: ["page", "client", "demo", "docs", "openapi.json", "package.json"]),
        .target(name: "System", dependencies: ["CLinux"], swiftSettings: house),
        .target(name: "Base64", swiftSettings: house),
        .target(name: "HTTPFields", swiftSettings: house),
        .target(name: "JSON", dependencies: ["CMinify"], swiftSettings: house),
        .target(name: "JSONSchema", dependencies: ["JSON"], swiftSettings: house),
        .target(name: "JSONPath", dependencies: ["JSON", "JSONSchema"], swiftSettings: house),
        .target(name: "Charsets", dependencies: ["CIconv"], swiftSettings: house),
        .target(name: "XML", dependencies: ["CExpat", "Charsets"], swiftSettings: house),
        .target(name: "EventStream", swiftSettings: house),
        .target(name: "TLS", dependencies: ["CTLS"], swiftSettings: house),
        .target(name: "NATS", dependencies: ["CNATS", "CLinux", "JSON", "System"], swiftSettings: house),
        .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .target(name: "HTTP2", dependencies: ["CNGHTTP2"], swiftSettings: house),
        .target(name: "WebSocket", dependencies: ["CZlib"], swiftSettings: house),
        .target(name: "Compression", dependencies: ["CZlib", "CZstd"], swiftSettings: house),
        .target(
            name: "WebPush",
            dependencies: ["Base64", "JSON", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: house
        ),

        // The client, a library for other programs; `freshet tail` stands on it.
        .target(
            name: "FreshetClient",
            dependencies: [
                "EventStream", "JSON",
                .target(name: "CCurl", condition: .when(platforms: [.linux])),
                .target(name: "System", condition: .when(platforms: [.linux])),
            ],
            swiftSettings: house
        ),

        // Layer 1: every decision, no I/O.
        .target(
            name: "FreshetCore",
            dependencies: [
                "JSON", "JSONSchema", "JSONPath", "Charsets", "XML", "EventStream", "HTTPFields",
                "WebSocket",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: house
        ),

        // Layer 2: shells that carry decisions out.
        .target(
            name: "FreshetUpstream",
            dependencies: ["FreshetCore", "HTTPFields", "CCurl", "CZlib", "CCodings", "CLinux", "System"],
            swiftSettings: house
        ),
        .target(
            name: "FreshetPolling",
            dependencies: [
                "FreshetCore", "FreshetUpstream", "JSON", "CLinux", "System",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetPush",
            dependencies: ["FreshetCore", "FreshetUpstream", "WebPush"],
            swiftSettings: house
        ),
        .target(
            name: "FreshetWebhooks",
            dependencies: [
                "FreshetCore", "FreshetUpstream", "JSON", "System",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetStreaming",
            dependencies: [
                "Compression", "FreshetCore", "HTTP2", "TLS", "WebSocket", "CLinux", "System",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetStorage",
            dependencies: [
                "FreshetCore", "JSON", "System",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetCluster",
            dependencies: [
                "FreshetCore", "JSON", "NATS", "System",
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetAccess",
            dependencies: [
                "Base64", "FreshetCore", "JSON",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "FreshetHTTP",
            dependencies: [
                "Compression", "FreshetAccess", "FreshetCore", "FreshetStreaming", "HTTP2", "HTTPFields", "JSON",
                "JSONSchema", "TLS", "WebSocket", "CLinux", "CWeb", "System",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: house
        ),

        .target(
            name: "FreshetConfiguration",
            dependencies: [
                "FreshetAccess", "FreshetCore", "HTTPFields", "JSON", "JSONPath", "JSONSchema", "System", "TLS",
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: house
        ),

        // Layer 3: the command line, and the one place where the parts are joined.
        .executableTarget(
            name: "freshet",
            dependencies: [
                "FreshetAccess", "FreshetClient", "FreshetCluster", "FreshetConfiguration", "FreshetCore",
                "FreshetUpstream",
                "FreshetPolling", "FreshetPush", "FreshetStreaming", "FreshetHTTP", "FreshetStorage", "FreshetWebhooks",
                "JSON", "JSONSchema", "CLinux", "CSignals", "NATS",
                "System", "TLS", "WebSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: house
        ),

        // For tests and benchmarks only.
        .target(
            name: "FreshetTesting",
            dependencies: ["CLinux", "CNGHTTP2", "CTLSTesting", "CZlib", "CZstd", "EventStream", "System"],
            path: "Tests/Support/FreshetTesting",
            swiftSettings: house
        ),
        .target(
            name: "FreshetSimulation",
            dependencies: [
                "FreshetCluster", "FreshetCore", "FreshetStreaming", "FreshetTesting", "HTTPFields", "JSON", "System",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            path: "Tests/Support/FreshetSimulation",
            swiftSettings: house
        ),
        // Reaches into the readers, so that it is built for tests and for `make fuzz`.
        .target(
            name: "FreshetFuzzing",
            dependencies: ["CMinify", "FreshetCore", "JSON", "System"],
            path: "Tests/Support/FreshetFuzzing",
            swiftSettings: house
        ),
        .executableTarget(
            name: "freshet-bench",
            dependencies: [
                "Compression", "FreshetAccess", "FreshetCluster", "FreshetCore", "FreshetPolling", "FreshetSimulation",
                "FreshetStorage", "NATS",
                "FreshetStreaming", "FreshetTesting", "FreshetWebhooks", "EventStream", "HTTPFields", "JSON",
                "JSONSchema",
                "CLinux",
                "CPollFloor", "System",
            ],
            path: "Tests/Benchmarks/freshet-bench",
            swiftSettings: house
        ),
        .testTarget(
            name: "JSONTests",
            dependencies: ["JSON", "FreshetFuzzing", "System", "CAllocations"],
            swiftSettings: house
        ),
        .testTarget(name: "JSONSchemaTests", dependencies: ["JSONSchema", "JSON"], swiftSettings: house),
        .testTarget(name: "JSONPathTests", dependencies: ["JSONPath", "JSONSchema", "JSON"], swiftSettings: house),
        .testTarget(name: "CharsetsTests", dependencies: ["Charsets"], swiftSettings: house),
        .testTarget(name: "XMLTests", dependencies: ["XML", "Charsets", "JSON"], swiftSettings: house),
        .testTarget(name: "HTTP2Tests", dependencies: ["HTTP2", "FreshetTesting"], swiftSettings: house),
        .testTarget(
            name: "CompressionTests",
            dependencies: ["Compression", "FreshetTesting", "JSON"],
            swiftSettings: house
        ),
        .testTarget(name: "WebSocketTests", dependencies: ["WebSocket"], swiftSettings: house),
        .testTarget(
            name: "WebPushTests",
            dependencies: ["Base64", "WebPush", "JSON", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: house
        ),
        .testTarget(name: "TLSTests", dependencies: ["CTLS", "TLS", "FreshetTesting"], swiftSettings: house),
        .testTarget(
            name: "NATSTests",
            dependencies: ["NATS", "FreshetCluster", "FreshetTesting"],
            swiftSettings: house
        ),
        .testTarget(name: "EventStreamTests", dependencies: ["EventStream", "System"], swiftSettings: house),
        .testTarget(
            name: "FreshetClientTests",
            dependencies: ["FreshetClient"],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetCoreTests",
            dependencies: [
                "FreshetCore", "FreshetFuzzing", "FreshetSimulation", "FreshetStreaming", "FreshetTesting", "JSON",
                "JSONSchema", "CAllocations", "CLinux", "HTTPFields", "System",
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetPollingTests",
            dependencies: [
                "FreshetPolling", "FreshetUpstream", "FreshetCore", "FreshetTesting", "JSON", "CZlib", "CLinux",
                "CResolverStub", "HTTPFields", "System",
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetClusterTests",
            dependencies: [
                "FreshetCluster", "FreshetCore", "FreshetSimulation", "FreshetTesting", "JSON", "NATS", "System",
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetWebhooksTests",
            dependencies: [
                "FreshetWebhooks", "FreshetCore", "FreshetTesting", "CResolverStub", "JSON", "System",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetStreamingTests",
            dependencies: [
                "Compression", "FreshetStreaming", "FreshetCore", "FreshetTesting", "JSON", "TLS", "CLinux",
                "CThreadSanitizer", "System",
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetAccessTests",
            dependencies: [
                "Base64", "FreshetAccess", "FreshetCore", "FreshetTesting", "JSON", "System",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            exclude: ["make_tokens.py"],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetHTTPTests",
            dependencies: [
                "Compression", "FreshetHTTP", "FreshetAccess", "FreshetStreaming", "FreshetCore", "FreshetSimulation",
                "FreshetTesting", "JSON", "JSONSchema", "EventStream", "HTTPFields", "System", "TLS",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: house
        ),
        .target(name: "CThreadSanitizer", path: "Tests/Support/CThreadSanitizer"),
        .target(
            name: "CTLSTesting",
            path: "Tests/Support/CTLSTesting",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]
        ),
        .target(name: "CAllocations", path: "Tests/Support/CAllocations"),
        .target(name: "CPollFloor", dependencies: ["CCurl"], path: "Tests/Benchmarks/CPollFloor"),
        .target(name: "CResolverStub", path: "Tests/Support/CResolverStub", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CFaultyVFS", path: "Tests/Support/CFaultyVFS", linkerSettings: [.linkedLibrary("sqlite3")]),
        .testTarget(
            name: "FreshetStorageTests",
            dependencies: [
                "FreshetStorage", "FreshetCore", "JSON", "CFaultyVFS", "System",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetTestingTests",
            dependencies: ["FreshetTesting", "CLinux", "EventStream", "System"],
            swiftSettings: house
        ),
        .testTarget(
            name: "FreshetTests",
            dependencies: [
                "freshet", "FreshetAccess", "FreshetCluster", "FreshetConfiguration", "FreshetCore", "FreshetHTTP",
                "FreshetPolling", "FreshetTesting", "HTTPFields", "JSON", "JSONSchema", "JSONPath", "System",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            resources: [.copy("Configurations")],
            swiftSettings: house
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "freshet", "FreshetClient", "FreshetConfiguration", "FreshetCore", "FreshetHTTP", "FreshetStreaming",
                "FreshetTesting", "FreshetUpstream", "EventStream", "HTTPFields", "JSON", "CAllocations", "CFaultyVFS",
                "CLinux", "NATS",
                "System", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            exclude: [
                "push_cases.py", "socket_cases.py", "webhook_cases.py", "restart_crowd.py", "schemathesis.toml",
                "socket_manager.py", "stream_readers.py", "Dialects/dialect_readers.py",
                "Dialects/streamdata_client.mjs",
            ],
            swiftSettings: house
        ),
    ]
)

// A program of its own for `make fuzz` alone: its build looks into other targets as tests do.
if Context.environment["FRESHET_FUZZ_BUILD"] != nil {
    package.targets.append(
        .executableTarget(
            name: "freshet-fuzz",
            dependencies: ["FreshetFuzzing", "System"],
            path: "Tests/Support/freshet-fuzz",
            swiftSettings: house
        )
    )
    package.products.append(.executable(name: "freshet-fuzz", targets: ["freshet-fuzz"]))
}
