/* Random identifiers, from getrandom(2). */
#pragma once

enum { ID_LEN = 64 };

/* 64 lower-case hexadecimal digits, as all runtimes name pods and containers. */
void id_random(char out[ID_LEN + 1]);
