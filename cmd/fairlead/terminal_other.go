//go:build !unix && !windows

package main

import "errors"

func hideTyping(int) (func(), error) { return nil, errors.ErrUnsupported }
