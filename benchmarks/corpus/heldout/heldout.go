// SPDX-License-Identifier: Apache-2.0

// Package heldout has the programs that are kept for checking. The first 30 were
// chosen at random; the others were written for this package. Do not look at them, or
// at their results, while verdicts are tuned.
package heldout

import "example.com/corpus/kit"

// All returns the programs.
func All() []kit.Program {
	return []kit.Program{
		besideSessions(),
		boltView(),
		cartHold(),
		coderChat(),
		condQueue(),
		csvPipe(),
		deviceGateway(),
		dnsForwarder(),
		doublingPool(),
		etcdEmbedded(),
		eventBus(),
		fiberLongPoll(),
		fiberSSE(),
		foreignContext(),
		fsnotifyWatchers(),
		ginOtel(),
		gocronJobs(),
		grpcStream(),
		handlerPanic(),
		http2Body(),
		http3Events(),
		httpDrain(),
		httpNoTimeout(),
		httpTotalStop(),
		httpTransport(),
		httpWebhooks(),
		lockOrder(),
		lumberjackLogger(),
		melodyRoom(),
		minioList(),
		mqttBridges(),
		mqttBroker(),
		mutexHeld(),
		natsStay(),
		natsTenants(),
		oneProcess(),
		oneProcessQuiet(),
		otterLoading(),
		pgxListen(),
		pgxPool(),
		retryableUploads(),
		reverseProxy(),
		sftpServer(),
		sqlPool(),
		sqlRows(),
		stuckWorkers(),
		tenantLoops(),
		timersAfter(),
		timersDeadlines(),
		udpPeers(),
		waitGroup(),
		workflowSignals(),
		yamuxTunnels(),
	}
}
