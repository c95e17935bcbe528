#include "comm/algorithm.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hpp"
#include "comm/operation.hpp"
#include "comm/plan.hpp"
#include "comm/topology.hpp"

namespace flagos::comm {
namespace {

constexpr std::array<const char*, algorithm_count> algorithm_names = {
    "automatic", "direct", "one_step", "slices", "tree", "ring", "clusters"};

// Time on the links, in which all ranks do the same at once.
class Estimate {
 public:
  Estimate(const Operation& operation, const Topology& topology)
      : topology_(topology),
        n_(topology.size),
        k_(topology.largest_cluster()),
        h_(static_cast<double>(topology.clusters.size())),
        kind_(operation.request.kind),
        is_widened_(needs_wide_partials(operation)),
        widening_factor_(4.0 / std::max(1U, dtype_bytes(operation.request.dtype))),
        bytes_(static_cast<double>(operation.request.count * dtype_bytes(operation.request.dtype))),
        steps_(std::bit_width(topology.size - 1)) {}

  double of(Algorithm algorithm) const {
    switch (algorithm) {
      case Algorithm::one_step:
        return copy(bytes_) + to_all(bytes_);
      case Algorithm::slices:
        return slices();
      case Algorithm::tree:
        return steps_ * (copy(bytes_) + hop(bytes_));
      case Algorithm::ring:
        return ring();
      case Algorithm::clusters:
        return is_widened_ ? widened_clusters() : clusters(bytes_);
      default:
        return direct();
    }
  }

 private:
  const Link& slowest() const { return h_ > 1 ? topology_.remote : topology_.local; }
  double copy(double bytes) const { return bytes * topology_.local.byte_s; }
  double hop(double bytes) const { return slowest().latency_s + bytes * slowest().byte_s; }
  static double among(double ranks, double bytes, const Link& link) {
    return ranks <= 1
               ? 0
               : link.latency_s + (ranks - 2) * link.message_s + (ranks - 1) * bytes * link.byte_s;
  }
  // So much from each rank to each other one.
  double to_all(double bytes) const {
    const double far = (n_ - k_) * (topology_.remote.message_s + bytes * topology_.remote.byte_s);
    const double near = (k_ - 1) * (topology_.local.message_s + bytes * topology_.local.byte_s);
    return slowest().latency_s + near + far;
  }
  // From one rank to all others, or from all to one. What the host shares is read by all, from where it was written once.
  double from_one(double bytes) const {
    const double far = (n_ - k_) * (topology_.remote.message_s + bytes * topology_.remote.byte_s);
    return slowest().latency_s + (k_ - 1) * topology_.local.message_s + copy(bytes) + far;
  }

  double direct() const {
    if (kind_ == Kind::broadcast) return from_one(bytes_);
    if (kind_ == Kind::reduce) return from_one(bytes_) + (k_ - 1) * copy(bytes_);
    return to_all(bytes_);  // blocks; a barrier has no bytes
  }
  double slices() const {
    if (kind_ == Kind::broadcast)
      return hop(bytes_ / (n_ - 1)) + slowest().latency_s + (n_ - 2) * slowest().message_s +
             bytes_ * slowest().byte_s;
    if (kind_ == Kind::reduce) return to_all(bytes_ / n_) + hop(bytes_);
    return 2 * to_all(bytes_ / n_);
  }
  // One rank of a host reaches another host at a time.
  double ring() const {
    const double steps = (kind_ == Kind::all_reduce ? 2 : 1) * (n_ - 1);
    const double bytes = kind_ == Kind::all_reduce ? bytes_ / n_ : bytes_;
    const double byte_s = h_ > 1 ? std::max(topology_.remote.byte_s / k_, topology_.local.byte_s)
                                 : topology_.local.byte_s;
    return steps * (slowest().latency_s + bytes * byte_s);
  }
  double clusters(double bytes) const {
    const double k = topology_.smallest_cluster();
    switch (kind_) {
      case Kind::all_gather:
        return among(h_, bytes, topology_.remote) + among(k_, h_ * bytes, topology_.local);
      case Kind::broadcast:
        return among(h_, bytes, topology_.remote) / k_ + topology_.local.latency_s + copy(bytes);
      case Kind::reduce_scatter:
        return passes() * (among(k_, bytes, topology_.local) + copy(bytes)) +
               (passes() - 1) * (topology_.remote.latency_s + bytes * topology_.remote.byte_s);
      case Kind::reduce:
        return among(k_, bytes, topology_.local) + among(h_, bytes, topology_.remote) / k_;
      default:
        return 2 * among(k_, bytes / k, topology_.local) +
               2 * among(h_, bytes / (k * h_), topology_.remote);
    }
  }

  // All are float32 then, and are copied and converted before and afterwards.
  double widened_clusters() const {
    const double blocks = kind_ == Kind::reduce_scatter ? n_ : 1;
    return clusters(bytes_ * widening_factor_) + 2 * (blocks + 1) * copy(bytes_ * widening_factor_);
  }
  double passes() const {
    double sum = 0;
    for (std::uint32_t step = 0; step < topology_.clusters.size(); ++step)
      sum += topology_.passes_of(step);
    return sum;
  }

  const Topology& topology_;
  const double n_, k_, h_;
  const Kind kind_;
  const bool is_widened_;
  const double widening_factor_;
  const double bytes_, steps_;
};

bool adds(Kind kind) {
  return kind == Kind::all_reduce || kind == Kind::reduce || kind == Kind::reduce_scatter;
}

// Whether neither the order of the ranks nor the partial results show.
bool is_order_free(const Reduction& reduction) {
  return reduction.kind != FLAGOS_COMM_REDUCTION_SUM &&
         reduction.kind != FLAGOS_COMM_REDUCTION_PRODUCT &&
         reduction.kind != FLAGOS_COMM_REDUCTION_AVERAGE && reduction.kind != premultiplied_sum;
}

// Whether there may be partial results, and the order of the ranks may show.
bool can_split(const Reduction& reduction) {
  if (is_order_free(reduction)) return true;
  if (is_exact(reduction.dtype)) return reduction.kind != FLAGOS_COMM_REDUCTION_AVERAGE;
  return !reduction.deterministic;
}

}  // namespace

bool needs_wide_partials(const Operation& operation) {
  return adds(operation.request.kind) && is_narrow(operation.reduction.dtype) &&
         !is_order_free(operation.reduction);
}

bool may_add_partials(const Reduction& reduction) {
  return can_split(reduction) && (!is_narrow(reduction.dtype) || is_order_free(reduction));
}

const char* name_of(Algorithm algorithm) {
  return algorithm_names[static_cast<std::size_t>(algorithm)];
}

Algorithm algorithm_of(std::string_view name) {
  for (std::size_t i = 0; i < algorithm_names.size(); ++i)
    if (name == algorithm_names[i]) return static_cast<Algorithm>(i);
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "FLAGOS_COMM_ALGORITHM is '{}'; there are automatic, direct, one_step, slices, tree, "
              "ring and clusters",
              name);
}

bool can_use(Algorithm algorithm, const Operation& operation, const Topology& topology) {
  const Request& request = operation.request;
  if (algorithm == Algorithm::automatic || topology.size == 1 || request.has_counts)
    return algorithm == Algorithm::direct;
  const bool splits = algorithm == Algorithm::tree || algorithm == Algorithm::ring ||
                      algorithm == Algorithm::clusters;
  if (adds(request.kind) && splits && !can_split(operation.reduction)) return false;
  if (splits && algorithm != Algorithm::clusters && needs_wide_partials(operation)) return false;
  if (algorithm == Algorithm::clusters && topology.clusters.size() == 1) return false;
  if (algorithm == Algorithm::ring && topology.size > 64) return false;
  switch (request.kind) {
    case Kind::all_reduce:
      return algorithm != Algorithm::direct;
    case Kind::reduce:
      return algorithm != Algorithm::one_step && algorithm != Algorithm::ring &&
             (algorithm != Algorithm::tree ||
              request.count * dtype_bytes(request.dtype) <= scratch_bytes);
    case Kind::broadcast:
      return algorithm != Algorithm::one_step && algorithm != Algorithm::ring;
    case Kind::reduce_scatter:
    case Kind::all_gather:
      return algorithm == Algorithm::direct || algorithm == Algorithm::ring ||
             algorithm == Algorithm::clusters;
    case Kind::barrier:
      return algorithm == Algorithm::direct || algorithm == Algorithm::tree;
    default:
      return algorithm == Algorithm::direct;
  }
}

double cost_of(Algorithm algorithm, const Operation& operation, const Topology& topology) {
  return Estimate(operation, topology).of(algorithm);
}

Algorithm choose_algorithm(const Operation& operation, const Topology& topology) {
  if (can_use(topology.forced, operation, topology)) return topology.forced;
  Algorithm best = Algorithm::automatic;
  double least = 0;
  for (std::uint8_t i = 1; i < algorithm_count; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (!can_use(algorithm, operation, topology)) continue;
    const double cost = cost_of(algorithm, operation, topology);
    if (best != Algorithm::automatic && cost >= least) continue;
    best = algorithm;
    least = cost;
  }
  return best;
}

}  // namespace flagos::comm
