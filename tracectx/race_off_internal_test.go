//go:build !race

package tracectx

const raceDetector = false
