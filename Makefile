# Each target does all of its own set-up. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin
export ONESHOT
# What is started so ends when make is killed, and clears away.
bound := $(shell command -v setpriv >/dev/null && echo setpriv --pdeathsig TERM)

.PHONY: help demo test test-unit test-exporter test-rules test-operator test-cluster test-incidents bench generate check

# One at a time; what runs side by side on two cores is in tests/all.
.NOTPARALLEL:

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## A real cluster with a simulated AWS account; ONESHOT=1 ends by itself
	@$(bound) tests/demo

test: ## All tests
	@$(bound) tests/all

test-unit: ## Pure tests, seconds
	@tests/tier test-unit

test-exporter: ## The simulator by real AWS clients; the exporter binary against the simulator
	@tests/tier test-exporter

test-rules: ## Each alert by promtool: it fires when it shall, and only then
	@tests/tier test-rules

test-operator: ## The operator against a real kube-apiserver and etcd
	@tests/tier test-operator

test-cluster: ## The chart and the image in a whole cluster with pods and Prometheus
	@tests/tier test-cluster

test-incidents: ## Twenty-one incidents through to a webhook, every panel's query: a quarter of an hour, not in make test
	@tests/tier test-incidents

bench: ## The figures that are promised, beside their limits; BENCH=name runs a part
	@tests/bench $(BENCH)

generate: ## Write what is generated (crds/, docs/) anew
	@tests/generate

check: ## Formatting, lints, dependencies, generated files
	@tests/check
