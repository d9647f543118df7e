/* Times crypto_mb's eight powers side by side, one exponent and one modulus in all lanes, for crypto_mb.sh.
 *
 * Prints a line for each size: bits and the milliseconds of CPU time that a batch of eight takes, the median of RUNS. Before, it
 * holds a power against square and multiply by the library's own products: base^(2e) = (base^e)^2.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <crypto_mb/exp.h>

enum { RUNS = 31, MOST_WORDS = 64, LANES = 8 };

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t next_word(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef mbx_status power(int64u *const[8], const int64u *const[8], const int64u *const[8], int, const int64u *const[8],
                         int, int8u *, int);

static int64u modulus[MOST_WORDS], base[LANES][MOST_WORDS], exponent[MOST_WORDS], two[MOST_WORDS],
    out[LANES][MOST_WORDS], squared[LANES][MOST_WORDS], twice[MOST_WORDS];

static void measure(int bits, power *pow8) {
    int words = bits / 64, buffer_bytes = mbx_exp_BufferSize(bits);
    int8u *buffer = malloc((size_t)buffer_bytes);
    int64u *outs[LANES], *squares[LANES];
    const int64u *bases[LANES], *exponents[LANES], *moduli[LANES], *twos[LANES], *powers[LANES], *doubled[LANES];
    for (int i = 0; i < words; i++) {
        modulus[i] = next_word();
        exponent[i] = next_word();
    }
    modulus[0] |= 1;
    modulus[words - 1] |= 1ull << 63;
    /* A bit less than the modulus, so that twice the exponent fits, too. */
    exponent[words - 1] = (exponent[words - 1] >> 1) | 1ull << 62;
    memset(twice, 0, sizeof twice);
    for (int i = 0; i < words; i++) {
        twice[i] = exponent[i] << 1 | (i ? exponent[i - 1] >> 63 : 0);
    }
    memset(two, 0, sizeof two);
    two[0] = 2;
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < words; i++) {
            base[lane][i] = next_word();
        }
        base[lane][words - 1] >>= 1;
        outs[lane] = out[lane];
        squares[lane] = squared[lane];
        bases[lane] = base[lane];
        powers[lane] = out[lane];
        exponents[lane] = exponent;
        doubled[lane] = twice;
        moduli[lane] = modulus;
        twos[lane] = two;
    }
    mbx_status status = pow8(outs, bases, exponents, bits, moduli, bits, buffer, buffer_bytes);
    status |= pow8(squares, powers, twos, 2, moduli, bits, buffer, buffer_bytes);
    status |= pow8(outs, bases, doubled, bits, moduli, bits, buffer, buffer_bytes);
    if (status != 0 || memcmp(out, squared, sizeof out) != 0) {
        fprintf(stderr, "crypto_mb gives other powers at %d bits (status %d)\n", bits, (int)status);
        exit(1);
    }
    double times[RUNS];
    for (int run = 0; run < RUNS; run++) {
        double begin = milliseconds();
        pow8(outs, bases, exponents, bits, moduli, bits, buffer, buffer_bytes);
        times[run] = milliseconds() - begin;
    }
    qsort(times, RUNS, sizeof *times, by_size);
    printf("%d %.3f\n", bits, times[RUNS / 2]);
    free(buffer);
}

int main(void) {
    measure(2048, mbx_exp2048_mb8);
    measure(4096, mbx_exp4096_mb8);
    return 0;
}
