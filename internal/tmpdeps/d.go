package tmpdeps
