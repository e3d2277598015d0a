// Command child is the engine's child process on its own, for tests: it loads libchdb and serves HTTP until its
// standard input ends. The product runs the same code as `modeltrail engine-child`.
package main

import (
	"os"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

func main() { os.Exit(engine.Main()) }
