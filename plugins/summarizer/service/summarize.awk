# Picks sentences by how often their words occur in the whole text (H. P. Luhn, "The Automatic Creation of
# Literature Abstracts", 1958), and prints them in the order of the text.

{ text = text " " $0 }

END {
    gsub(/[ \t\r]+/, " ", text)
    count = split_sentences(text)
    for (i = 1; i <= count; i++) {
        words = split(tolower(sentence[i]), word, /[^[:alnum:]\200-\377]+/)
        for (w = 1; w <= words; w++)
            if (length(word[w]) > 3) frequency[word[w]]++
    }
    for (i = 1; i <= count; i++) {
        words = split(tolower(sentence[i]), word, /[^[:alnum:]\200-\377]+/)
        long = 0
        for (w = 1; w <= words; w++)
            if (length(word[w]) > 3) { score[i] += frequency[word[w]]; long++ }
        score[i] = long > 0 ? score[i] / (long + 2) : 0
    }
    for (n = 0; n < wanted && n < count; n++) {
        best = 0
        for (i = 1; i <= count; i++)
            if (!(i in picked) && (best == 0 || score[i] > score[best])) best = i
        picked[best] = 1
    }
    for (i = 1; i <= count; i++) if (i in picked) print sentence[i]
}

# Fills `sentence` and gives their number. A sentence ends with a period or the like and a space.
function split_sentences(text,    n, at) {
    n = 0
    while (match(text, /[.!?]+["')]* /)) {
        at = RSTART + RLENGTH
        n = keep(substr(text, 1, at - 2), n)
        text = substr(text, at)
    }
    return keep(text, n)
}

function keep(part, n) {
    sub(/^ +/, "", part)
    sub(/ +$/, "", part)
    if (part != "") sentence[++n] = part
    return n
}
