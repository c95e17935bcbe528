#include "ops/pointwise/special.hpp"

#include <limits>

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double pi = 3.14159265358979323846;

bool wide(const Elements& a) { return a.dtype == tile::DType::f64; }

// c[0] + x (c[1] + x (c[2] + ...))
template <std::size_t N>
Tile polynomial(const Tile& x, const double (&c)[N]) {
  Tile sum = x * c[N - 1] + c[N - 2];
  for (std::size_t i = N - 2; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

// erfc(x) exp(x^2) / t of s, where t = 1 / (1 + x / 2) lies evenly about `middle`, for x of 0.47 and more: fits of least
// largest error.
constexpr double middle = 0.43775, half = 0.37225;
constexpr double erfc_f32[] = {0.470143899518,    0.230580753043,    0.0731638610215,
                               0.00949928625874,  -0.00258454640218, -0.000965922153836,
                               0.000176820947084, 9.15272157442e-5,  -2.27080929999e-5,
                               -8.25942082979e-6, 2.60513035813e-6,  4.95015165752e-7};
constexpr double erfc_f64[] = {
    0.470143899295437687,    0.230580753056232122,     0.0731638770616857267,
    0.00949928531574647196,  -0.00258473541002824956,  -0.000965910509453196217,
    0.000177644035851816225, 0.0000914717100717973353, -0.000024357736097108742,
    -8.12977375606060629e-6, 4.19227535973708098e-6,   3.32983326308403828e-7,
    -6.57800305023329608e-7, 1.09850095166169813e-7,   7.19757338838946083e-8,
    -3.88967017702803127e-8, -2.58970019103604958e-10, 6.80714412342558074e-9,
    -1.7909290674384994e-9,  -5.79916495782052226e-10, 2.80202343155971226e-10};

// Of x that is 0.5 or more.
Tile erfc_tail(const Elements& a, const Tile& given) {
  const Tile x = min(given, 30.0);  // where there is nothing left of it
  const Tile t = 1.0 / (1.0 + 0.5 * x), s = (t - middle) * (1.0 / half);
  const Tile scaled = t * (wide(a) ? polynomial(s, erfc_f64) : polynomial(s, erfc_f32));
  // exp(-x^2) of two parts of x, the square of the first being exact.
  const tile::DType bits = wide(a) ? tile::DType::i64 : tile::DType::i32;
  const long long mask = wide(a) ? -(1LL << 27) : -(1LL << 12);
  const Tile high = bitcast(bitcast(x, bits) & mask, a.dtype);
  return scaled * (exp(-(high * high)) * exp(-((x - high) * (x + high))));
}

// erfinv(x) / x of -log(1 - x^2) - 2.5 up to 5, and of its root - 3 behind that.
constexpr double inverse_near[] = {1.50140935111,     0.246640766267,    -0.00417734651729,
                                   -0.00125375888484, 0.000218312979841, -4.38034671412e-6,
                                   -3.45477951427e-6, 3.42224708993e-7,  2.26059777412e-8};
constexpr double inverse_far[] = {2.83297709856,     1.00167631275,    0.00943153614443,
                                  -0.00765270244598, 0.00579103264236, -0.00357333710015,
                                  0.00122267550263,  7.43596712003e-6, -9.64234253548e-5};
// The same as far as float64 goes; not as exact.
constexpr double inverse_far_f64[] = {2.83297877742,     1.00170333247,      0.0094267803562,
                                      -0.00782735002116, 0.00580021775599,   -0.00323598152484,
                                      0.00113230612245,  -0.000216109309135, 1.7074031016e-5};

// x + 1 + 1 ..., as large as the series of Stirling needs; the product of x, x + 1, ... before it, and the sum of their
// inverses.
struct Shifted {
  Tile y, product, inverses;
};
Shifted shifted(const Elements& a, const Tile& x) {
  const int least = wide(a) ? 10 : 4;
  Tile y = x, product = a.full(1), inverses = a.full(0);
  for (int i = 0; i < least; ++i) {
    const Tile small = y < static_cast<double>(least);
    product = where(small, product * y, product);
    inverses = where(small, inverses + 1.0 / y, inverses);
    y = where(small, y + 1.0, y);
  }
  return {y, product, inverses};
}

// Of x that is not negative.
Tile lgamma_right(const Elements& a, const Tile& x) {
  constexpr double few[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680};
  constexpr double many[] = {1.0 / 12,   -1.0 / 360,        1.0 / 1260, -1.0 / 1680,
                             1.0 / 1188, -691.0 / 360360.0, 1.0 / 156};
  const Shifted s = shifted(a, x);
  const Tile inverse = 1.0 / s.y, square = inverse * inverse, logarithm = log(s.y);
  const Tile series = inverse * (wide(a) ? polynomial(square, many) : polynomial(square, few));
  const Tile rest = 0.918938533204672741780 - 0.5 * logarithm + series;
  return where(isinf(x), infinity, s.y * (logarithm - 1.0) + rest - log(s.product));
}

}  // namespace

Tile erfc(const Elements& a, const Tile& x) {
  const Tile size = abs(x), tail = erfc_tail(a, max(size, 0.5));
  return where(size < 0.5, 1.0 - erf(x), where(x < 0.0, 2.0 - tail, tail));
}

Tile erfinv(const Elements& a, const Tile& x) {
  const Tile size = abs(x), rest = 1.0 - size;  // of 0.5 and more exact
  const Tile w = -log(rest * (1.0 + size)), root = sqrt(max(w, 5.0)) - 3.0;
  const Tile far = wide(a) ? polynomial(root, inverse_far_f64) : polynomial(root, inverse_far);
  Tile y = size * where(w < 5.0, polynomial(w - 2.5, inverse_near), far);
  // Steps of Halley make a third of the digits all; float32 has them already.
  for (int step = 0; step < (wide(a) ? 2 : 0); ++step) {
    const Tile error = where(size < 0.5, erf(y) - size, rest - erfc(a, y));
    const Tile change = error / (1.12837916709551257390 * exp(-(y * y)));
    y = y - change / (1.0 + y * change);
  }
  const Tile inside = where(x < 0.0, -y, y);
  const Tile edge = where(size == 1.0, x * infinity, std::numeric_limits<double>::quiet_NaN());
  return where(size < 1.0, inside, edge);
}

Tile lgamma(const Elements& a, const Tile& x) {
  const Tile size = abs(x), right = lgamma_right(a, size);
  // Of negative x by reflection: gamma(x) gamma(-x) = -pi / (x sin(pi x)).
  const Tile rest = size - floor(size), near = min(rest, 1.0 - rest);
  const Tile left = log(pi / (size * sin(near * pi))) - right;
  return where(x < 0.0, where(isinf(x) | (near == 0.0), infinity, left), right);
}

Tile digamma(const Elements& a, const Tile& x) {
  constexpr double few[] = {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240};
  constexpr double many[] = {1.0 / 12,  -1.0 / 120,       1.0 / 252, -1.0 / 240,
                             1.0 / 132, -691.0 / 32760.0, 1.0 / 12};
  const Tile negative = x < 0.0;
  const Shifted s = shifted(a, where(negative, 1.0 - x, x));
  const Tile inverse = 1.0 / s.y, square = inverse * inverse;
  const Tile series = square * (wide(a) ? polynomial(square, many) : polynomial(square, few));
  const Tile right = log(s.y) - 0.5 * inverse - series - s.inverses;
  // Of negative x by reflection: psi(1 - x) - psi(x) = pi / tan(pi x).
  const Tile turn = x - rint(x);
  const Tile left =
      where(turn == 0.0, std::numeric_limits<double>::quiet_NaN(), right - pi / tan(turn * pi));
  return where(negative, left, right);
}

}  // namespace flagos::ops
