// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"reflect"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// onFirstProvider has f called with the TracerProvider that the application makes
// global first, before otel.SetTracerProvider returns: spans that begin right after are
// seen. It does nothing if one is global already, and with a version of OpenTelemetry
// that works differently; ticks find the provider then, as they find every later one.
//
// OpenTelemetry has no hook for that. But until there is a provider, its stand-in
// remembers the tracers that it was asked for, with their options, and when it gets the
// provider asks that for the same. An option is a function, so one that we make is
// called then; which provider it is says the stand-in's field "delegate".
func onFirstProvider(f func(trace.TracerProvider)) {
	standIn := reflect.ValueOf(otel.GetTracerProvider())
	if standIn.Kind() != reflect.Pointer || standIn.Elem().Kind() != reflect.Struct {
		return
	}
	field := standIn.Elem().FieldByName("delegate")
	if !field.IsValid() || field.Type() != reflect.TypeFor[trace.TracerProvider]() {
		return
	}
	// Reading it is safe when the option is called: by the goroutine that has set it
	// and holds the stand-in's lock. The stand-in also calls the option once at first.
	delegate := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
	option, ok := optionOf(func() {
		if tp, ok := reflect.TypeAssert[trace.TracerProvider](delegate); ok && tp != nil {
			f(tp)
		}
	})
	if ok {
		// The version distinguishes the tracer from the one of an earlier agent.
		unique := trace.WithInstrumentationVersion(strconv.FormatInt(time.Now().UnixNano(), 36))
		otel.GetTracerProvider().Tracer("github.com/gmpulse/gmpulse/agent", unique, option)
	}
}

// optionOf returns an option of a tracer that changes nothing and calls f when it is
// applied. Package trace has no exported function that makes one, but options are
// functions, and package reflect makes functions of any type.
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

// call calls f within a call of the application's, which must not panic for it.
func call(f func()) {
	defer func() { _ = recover() }()
	f()
}
