//go:build tools

// Package tools names the commands that tests/parts/build compiles, so that go.mod and go.sum pin all they need.
package tools

import (
	_ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
	_ "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader"
)
