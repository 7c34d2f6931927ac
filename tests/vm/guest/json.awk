# json.awk - JSON on standard input -> a line "a.0.b=value" for each value in it
#
# For what ixyctl prints: no escapes in strings but \" and \\.
{ text = text $0 "\n" }

function blank() { while (substr(text, at, 1) ~ /[ \t\n,:]/ && at <= length(text)) at++ }

function string(   begin) {
	begin = ++at
	while (substr(text, at, 1) != "\"" && at <= length(text))
		at += substr(text, at, 1) == "\\" ? 2 : 1
	at++
	return substr(text, begin, at - begin - 1)
}

function value(path,   n, key, begin) {
	blank()
	key = substr(text, at, 1)
	if (key == "{" || key == "[") {
		at++
		for (n = 0; ; n++) {
			blank()
			if (substr(text, at, 1) ~ /[]}]/ || at > length(text)) break
			if (key == "{")
				value(path (path == "" ? "" : ".") string())
			else
				value(path (path == "" ? "" : ".") n)
		}
		at++
	} else if (key == "\"") {
		print path "=" string()
	} else {
		begin = at
		while (substr(text, at, 1) !~ /[]},\n \t]/ && at <= length(text)) at++
		print path "=" substr(text, begin, at - begin)
	}
}

END { at = 1; value("") }
