# Thin: CMake does the work (presets in CMakePresets.json), scripts/ hold what takes more than a line.
# JOBS: how many compilers and tests at once.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DEMO_DIR ?= /usr/include
export JOBS

.PHONY: all build demo test bench python python-bench campaign install deps lint coverage analyze format clean

all: build

deps:
	@scripts/deps

build:
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build --preset release -j $(JOBS)
	@ln -sfn release/lk build/lk

demo: deps build
	build/lk storm --demo --html build/storm.html $(DEMO_DIR)

test: deps build
	@scripts/test

bench: deps build
	-@PACKAGES=bench/packages.txt scripts/deps # the peers; without one, its column is left out
	bench/run

# The package for Debian's python3, in build/release/python: PYTHONPATH=build/release/python
python: deps
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build --preset release -j $(JOBS) --target python
	@echo "PYTHONPATH=$(CURDIR)/build/release/python"

python-bench: python
	@/usr/bin/python3 bindings/python/bench.py

campaign:
	@scripts/campaign

install: build
	cmake --install build/release

lint: deps
	@scripts/test lint

analyze: deps
	@scripts/test analyze

coverage: deps
	@scripts/coverage

format:
	@scripts/format

clean:
	rm -rf build
