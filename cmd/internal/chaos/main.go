// Command chaos is the conservation test: it lets calls flow through broker, store, enrich, detect and engine while it
// kills and disturbs them, and then has a judge compare what is stored with what an oracle says must be.
//
//	make chaos
//	make chaos CHAOS="-duration 40m -calls 1000000 -kills 300 -failpoint-kills 60 -broker apachekafka"
//
// docs/chaos.md says how to read its report.
package main

import "os"

func main() { os.Exit(Main(os.Args[1:])) }
