# lib.sh - the fuzz targets and what each begins with; sourced with top set.

fuzz_names()
{
	local file
	for file in "$top"/tests/fuzz/fuzz_*.c; do
		file=${file##*/fuzz_}
		[ "$file" = main.c ] || echo "${file%.c}"
	done
}

# fuzz_seeds NAME - its corpus, and texts that other tests and the examples have already.
fuzz_seeds()
{
	echo "$top/tests/fuzz/corpus/$1"
	case $1 in
	intent) ls "$top"/tests/intent/*.xml "$top"/examples/*.xml ;;
	conf) ls "$top"/examples/*.conf ;;
	decode) ls "$top"/tests/decode/*.hex ;;
	esac
}
