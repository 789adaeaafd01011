// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"reflect"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// onFirstProvider makes the first call of otel.SetTracerProvider call f with the new provider
// before it returns, so that the agent sees all spans. It does nothing if the application has
// set a provider already, or with a version of OpenTelemetry that works differently. The next
// tick finds the provider in these cases, as it finds every later provider.
//
// OpenTelemetry has no hook for this. Its initial global provider records the tracers that it
// created, with their options. otel.SetTracerProvider stores the new provider in the field
// "delegate" of the initial one, which then creates each tracer again with the same options.
// An option is a function, so onFirstProvider creates a tracer with an option that calls f.
func onFirstProvider(f func(trace.TracerProvider)) {
	initial := reflect.ValueOf(otel.GetTracerProvider())
	if initial.Kind() != reflect.Pointer || initial.Elem().Kind() != reflect.Struct {
		return
	}
	field := initial.Elem().FieldByName("delegate")
	if !field.IsValid() || field.Type() != reflect.TypeFor[trace.TracerProvider]() {
		return
	}
	// The option may read the field: the goroutine that has set it calls the option and holds
	// the lock of the initial provider. The first call of the option, by Tracer below, finds nil.
	delegate := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
	option, ok := optionOf(func() {
		if tp, ok := reflect.TypeAssert[trace.TracerProvider](delegate); ok && tp != nil {
			f(tp)
		}
	})
	if ok {
		// The version distinguishes this tracer from the one that an earlier agent created.
		unique := trace.WithInstrumentationVersion(strconv.FormatInt(time.Now().UnixNano(), 36))
		otel.GetTracerProvider().Tracer("github.com/gmpulse/gmpulse/agent", unique, option)
	}
}

// optionOf returns a tracer option that calls f when it is applied and changes nothing. The
// type of options is not exported, so optionOf creates the function with package reflect.
func optionOf(f func()) (option trace.TracerOption, ok bool) {
	like := reflect.TypeOf(trace.WithInstrumentationVersion(""))
	if like.Kind() != reflect.Func || like.NumIn() != 1 || like.NumOut() != 1 || like.In(0) != like.Out(0) {
		return nil, false
	}
	made := reflect.MakeFunc(like, func(config []reflect.Value) []reflect.Value {
		call(f)
		return config
	})
	return reflect.TypeAssert[trace.TracerOption](made)
}

// call calls f and recovers its panics, because it runs within a call of the application.
func call(f func()) {
	defer func() { _ = recover() }()
	f()
}
