# Thin: CMake does the work (presets in CMakePresets.json), scripts/ hold what takes more than a line.
# JOBS: how many compilers and tests at once.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DEMO_DIR ?= /usr/include
export JOBS

.PHONY: all build demo test bench campaign install deps lint coverage analyze format clean

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
	@for what in peers scale memory collide repair; do \
	    echo "== lk bench $$what"; build/lk bench $$what || exit 1; done

campaign: deps build
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
