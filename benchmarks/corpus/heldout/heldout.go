// SPDX-License-Identifier: Apache-2.0

// Package heldout has the programs that are kept for checking. They were chosen at
// random. Do not look at them, or at their results, while verdicts are tuned.
package heldout

import "example.com/corpus/kit"

// All returns the programs.
func All() []kit.Program {
	return []kit.Program{
		coderChat(),
		condQueue(),
		csvPipe(),
		fiberLongPoll(),
		fiberSSE(),
		foreignContext(),
		fsnotifyWatchers(),
		gocronJobs(),
		httpDrain(),
		httpNoTimeout(),
		httpTotalStop(),
		httpTransport(),
		httpWebhooks(),
		melodyRoom(),
		mqttBridges(),
		mqttBroker(),
		mutexHeld(),
		oneProcess(),
		oneProcessQuiet(),
		otterLoading(),
		pgxListen(),
		pgxPool(),
		retryableUploads(),
		sqlPool(),
		sqlRows(),
		tenantLoops(),
		timersAfter(),
		timersDeadlines(),
		waitGroup(),
		yamuxTunnels(),
	}
}
