module nightjar.invalid/parts/pause

go 1.26.0
