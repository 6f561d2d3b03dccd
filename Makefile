# Every command of the project. `make run` and `make test` install what they lack.

SWIFT ?= swift
JOBS ?= $(shell nproc)
RELEASE = $(SWIFT) build -c release -j $(JOBS)
PACKAGES = libcurl4-openssl-dev zlib1g-dev libzstd-dev libexpat1-dev libsqlite3-dev libssl-dev libnghttp2-dev pkg-config
# What tests run beside the program: the page is looked at in a browser, node runs the tests of its scripts with the libraries
# that the client binds to, and nginx stands before the gateway.
TEST_PACKAGES = chromium curl libnats3.4 nginx nodejs openssl python3-venv node-react node-react-test-renderer node-redux \
  node-eventsource node-ws node-typescript libjs-vue
# What reads the files of Deploy.
DEPLOY_PACKAGES = caddy curl debootstrap dpkg-dev gcc haproxy libidn2-dev libnats3.4 lintian make man-db nginx openssl prometheus \
  python3-venv shellcheck
SEEDS ?= 1-200
STEPS ?= 20000
LOOPS ?= 25
# For each reader that is fuzzed.
FUZZ_SECONDS ?= 3600
FUZZ_TARGETS ?= json eager minify tables xml
# What `make test-long` does more often, or for longer, than `make test`. Tests read these variables.
LONG = FRESHET_EXHAUSTIVE=1 FRESHET_SEEDS=1-5000 FRESHET_CRASH_LOOPS=200 \
  FRESHET_RESTART_SUBSCRIBERS=1000 FRESHET_HOSTILE_SECONDS=60 FRESHET_CHURN=1 FRESHET_REPLAYS=1000 \
  FRESHET_HISTORIES=1-5000 FRESHET_MUTATIONS=1000 FRESHET_THROUGH=25 FRESHET_EXPIRING=9000 \
  FRESHET_PAIRS=300000 FRESHET_VIEW_HISTORIES=10000 FRESHET_VIEW_CHANGES=100000 FRESHET_WRITE_HISTORIES=1-10000 \
  FRESHET_SWAPS=1000 FRESHET_CUTS=1000 FRESHET_CALM_SUBSCRIBERS=10000 FRESHET_RESUMES=1000 \
  FRESHET_EVENTS=1000000 FRESHET_WEBHOOK_LOOPS=1000 FRESHET_SOAK_POLLS=86400 FRESHET_FUZZ=1000000 \
  FRESHET_BROKER_KILLS=12 FRESHET_CLUSTER_KILLS=200 FRESHET_CLUSTER_PAUSES=100 FRESHET_CLUSTER_PAUSE_SECONDS=30 \
  FRESHET_CLUSTER_MOVES=1000 FRESHET_CLUSTER_SECONDS=120 FRESHET_JOINS=1000 FRESHET_RECORDS=1000000 \
  FRESHET_CLUSTER_SEEDS=500
SANITIZED = FreshetStreamingTests|FreshetHTTPTests|FreshetClientTests|FreshetStorageTests|FreshetCoreTests.Hub

.PHONY: all setup build run test test-long lint format bench docs sanitize simulate crash-test fuzz deb deploy-check clean

all: build

## setup: install the C libraries (Debian), if they are missing
setup:
	@for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  $$run apt-get update -qq && $$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi

## build: the program, .build/release/freshet
build: setup
	timeout 3000 $(RELEASE) --product freshet

## run: the demo, live changes with no network
run: build
	.build/release/freshet demo

## test: every suite, in less than twenty minutes on two cores
test: PACKAGES += $(TEST_PACKAGES)
test: setup
	timeout 3000 $(SWIFT) build --build-tests -j $(JOBS)
	./.ci/tests

## test-long: the same suites with their loops, soaks and exhaustive searches; hours
test-long: PACKAGES += $(TEST_PACKAGES)
test-long: setup
	timeout 3000 $(SWIFT) build --build-tests -j $(JOBS)
	ulimit -n "$$(ulimit -Hn)"; $(LONG) timeout 28800 $(SWIFT) test --skip-build --no-parallel

## lint: formatting, and the rules that the compiler does not hold
lint:
	$(SWIFT) format lint --strict --recursive --parallel --configuration .swift-format Package.swift Sources Tests
	@./.ci/rooms

## format: put every file into the house's format
format:
	$(SWIFT) format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests

## bench: parse, diff, fan-out and polling, each beside a floor or a peer; hostile clients beside a quiet run
bench: setup
	timeout 3000 $(RELEASE) --product freshet
	timeout 3000 $(RELEASE) --product freshet-bench
	.build/release/freshet-bench all

## docs: the catalogue, .build/docs.doccarchive; any warning is an error
docs:
	@mkdir -p .build
	docc convert Sources/freshet/Freshet.docc --output-path .build/docs.doccarchive --warnings-as-errors \
	  --fallback-display-name Freshet --fallback-bundle-identifier org.freshet.Freshet

## sanitize: the suites of streams, HTTP, storage, client and hub under ThreadSanitizer and AddressSanitizer
sanitize: setup
	FRESHET_SANITIZE=thread timeout 3000 $(SWIFT) test --sanitize=thread \
	  --scratch-path .build-tsan -j $(JOBS) --filter '$(SANITIZED)'
	LSAN_OPTIONS=suppressions=$(CURDIR)/.ci/leaks timeout 3000 $(SWIFT) test --sanitize=address \
	  --scratch-path .build-asan -j $(JOBS) --filter '$(SANITIZED)'

## simulate: core, log, disk and network under seeds, SEEDS=7 or SEEDS=1-5000, STEPS=20000, PLANT=all
simulate: setup
	timeout 3000 $(RELEASE) --product freshet-bench
	timeout 3000 .build/release/freshet-bench simulate --seeds $(SEEDS) --steps $(STEPS) \
	  $(if $(PLANT),--plant $(PLANT))

## crash-test: kill -9 with subscribers that come back, LOOPS=25 times
crash-test: setup
	FRESHET_CRASH_LOOPS=$(LOOPS) timeout 3000 $(SWIFT) test -j $(JOBS) --filter CrashTests

# With libFuzzer where the toolchain has it, which follows the branches that inputs take; else by random changes alone.
LIBFUZZER = $(wildcard $(dir $(shell command -v $(SWIFT)))../lib/clang/*/lib/*/libclang_rt.fuzzer*.a)
FUZZ = .build-fuzz/release/freshet-fuzz
FUZZED = $(if $(LIBFUZZER),-Xswiftc -sanitize=fuzzer -Xswiftc -DLIBFUZZER -Xcc -fsanitize=fuzzer-no-link -Xswiftc -use-ld=lld)

## fuzz: JSON, whitespace, tables and XML against the plain way to read them, an hour each: FUZZ_SECONDS=60, FUZZ_TARGETS=xml
fuzz: setup
	FRESHET_FUZZ_BUILD=1 timeout 3000 $(RELEASE) --scratch-path .build-fuzz --product freshet-fuzz \
	  -Xswiftc -enable-testing $(FUZZED)
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p .build-fuzz/corpus/$$target || exit 1; \
	  $(FUZZ) $$target $(FUZZ_SECONDS) $(if $(LIBFUZZER),-artifact_prefix=.build-fuzz/$$target- .build-fuzz/corpus/$$target) \
	    || exit 1; \
	done

# Apart from .build: what is linked otherwise would be linked again at each change between the two.
STATIC = .build-static/release/freshet

.PHONY: $(STATIC)
$(STATIC): PACKAGES += python3
$(STATIC): setup
	SWIFT="$(SWIFT)" timeout 3000 Deploy/static .build-static -j $(JOBS)

## deb: the Debian package, in .build/packages, with the runtime of Swift in the program
deb: PACKAGES += dpkg-dev python3
deb: $(STATIC)
	Deploy/debian/build $(STATIC) .build/packages

## deploy-check: everything in Deploy, by the tools of those who read it
deploy-check: PACKAGES += $(DEPLOY_PACKAGES)
deploy-check: $(STATIC)
	FRESHET=$(STATIC) .ci/deploy

clean:
	rm -rf .build .build-*
