# ModelTrail. `make help` lists the targets.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
BINARIES := modeltrail modeltrail-tap
GOLANGCI_VERSION := v2.15.0
CACHE := $(CURDIR)/.cache
FUZZTIME ?= 10s
BENCH_CALLS ?= 300000

.DEFAULT_GOAL := help
.PHONY: help run build test race lint fuzz chaos bench generate check-generated dist secrets fmt clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build, install what is missing, start ModelTrail with the built-in demo
	@bin/modeltrail up --demo

build: ## build the binaries into bin/
	@mkdir -p bin
	@for b in $(BINARIES); do CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/$$b ./cmd/$$b || exit 1; done

test: ## run all tests; installs the embedded engine, the SDKs and (with Maven) Apache Kafka on first use
	$(GO) test -shuffle=on -timeout 14m ./...

race: ## run the tests that matter for concurrency under the race detector
	$(GO) test -race -short -timeout 25m ./...

lint: ## golangci-lint if it can be installed, else go vet and staticcheck; gofmt always
	@test -z "$$(git ls-files '*.go' | grep -v '\.pb\.go$$' | xargs gofmt -l | tee -a /dev/stderr)"
	$(GO) vet ./...
	@if GOBIN=$(CACHE)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); then \
		$(CACHE)/bin/golangci-lint run ./... ; \
	else \
		echo 'golangci-lint cannot be installed; running staticcheck'; $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./... ; \
	fi

fuzz: ## run every fuzz target for FUZZTIME (default 10s)
	@for f in $$(grep -rl --include='*_test.go' '^func Fuzz' . ); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
			echo "$$name in $$(dirname $$f)"; $(GO) test -run='^$$' -fuzz="^$$name$$" -fuzztime=$(FUZZTIME) $$(dirname $$f) || exit 1; \
		done; done

chaos: ## kill and disturb everything, then prove that nothing was lost or doubled; CHAOS="..." takes its flags (docs/chaos.md)
	@mkdir -p bin
	$(GO) build -trimpath -o bin/chaos ./cmd/internal/chaos
	bin/chaos $(CHAOS)

bench: build ## print every figure of the performance bars, as ratios within one run
	$(GO) run ./cmd/internal/bench/tapbench
	GOMAXPROCS=1 $(GO) test -run='^$$' -bench=. -benchmem ./ingest/redact ./schemas/dialect ./processors/... ./cmd/internal/bench/storebench
	$(GO) run ./cmd/internal/bench/storebench -calls $(BENCH_CALLS) -runs 3
	$(GO) run ./cmd/internal/bench/storebench -calls $(BENCH_CALLS) -runs 3 -partitions 2 -only store
	$(GO) run ./cmd/internal/bench/freshness

generate: ## regenerate protobuf code, configuration schema and documentation
	$(GO) run ./schemas/proto/gen schemas/proto .
	$(GO) run ./cmd/internal/config/gen .
	$(GO) generate ./dashboards

check-generated: ## fail when a generated file is stale
	@tree=$$(git stash create); $(MAKE) -s generate; \
	if ! git diff --quiet $${tree:-HEAD} -- schemas docs cmd dashboards; then echo 'generated files are stale: run make generate'; git diff --stat $${tree:-HEAD}; exit 1; fi

dist: ## cross-compile all binaries for Linux and macOS, amd64 and arm64, into dist/
	@mkdir -p dist
	@for p in $(PLATFORMS); do for b in $(BINARIES); do \
		out=dist/$$b-$$(echo $$p | tr / -); echo $$out; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/$$b || exit 1; \
	done; done
	@cd dist && sha256sum modeltrail* > SHA256SUMS

secrets: ## write the random secret files that docker-compose.yml mounts, once
	@mkdir -p -m 0700 secrets
	@for s in clickhouse_password clickhouse_store_password clickhouse_detect_password clickhouse_grafana_password credential_key receive_token grafana_password; do \
		test -s secrets/$$s || (umask 077; head -c 32 /dev/urandom | base64 | tr -d '\n=' > secrets/$$s); done; ls -l secrets

fmt: ## format the Go code
	@git ls-files '*.go' | grep -v '\.pb\.go$$' | xargs gofmt -w

clean: ## remove build output (data/ stays)
	rm -rf bin dist
