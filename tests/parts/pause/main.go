// Command pause is the process that holds a pod's namespaces open: it sleeps until it is told to stop.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	// As process 1 of its namespace it would otherwise ignore these, and every pod would take its whole grace period to stop.
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
