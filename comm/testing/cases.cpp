#include "comm/testing/cases.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>

#include <fmt/format.h>

#include "base/reduce/reduce.hpp"
#include "comm/testing/numbers.hpp"

namespace flagos::comm::testing {
namespace {

constexpr std::uint64_t guard_elements = 3;

std::uint64_t mix(std::uint64_t a) {
  a ^= a >> 31;
  a *= 0x7fb5d329728ea185U;
  a ^= a >> 27;
  a *= 0x81dadef4bc2dd44dU;
  return a ^ (a >> 33);
}

bool is_v(Op op) {
  return op == Op::reduce_scatter_v || op == Op::all_gather_v || op == Op::gather_v ||
         op == Op::scatter_v || op == Op::all_to_all_v;
}

}  // namespace

const char* name_of(Op op) {
  static constexpr const char* names[] = {
      "all_reduce",     "reduce",    "reduce_scatter", "reduce_scatter_v", "scan",
      "exclusive_scan", "broadcast", "all_gather",     "all_gather_v",     "gather",
      "gather_v",       "scatter",   "scatter_v",      "all_to_all",       "all_to_all_v",
      "barrier",        "ring"};
  return names[static_cast<int>(op)];
}

bool reduces(Op op) { return op <= Op::exclusive_scan; }

std::string Case::text() const {
  return fmt::format("{} {} {} count {} root {}{} seed {}", name_of(op), dtype_name(dtype),
                     reduces(op) ? reduction_name(static_cast<std::uint8_t>(reduction)) : "-",
                     count, root, in_place ? " in place" : "", seed);
}

bool is_defined(const Case& test) {
  return !reduces(test.op) || flagos::is_defined(Reduction{
                                  test.dtype, static_cast<std::uint8_t>(test.reduction), false});
}

Case random_case(std::mt19937_64& random, std::uint32_t size, std::uint64_t most_elements) {
  Case test;
  do {
    test.op = static_cast<Op>(random() % static_cast<int>(Op::count));
    test.dtype = all_dtypes()[random() % all_dtypes().size()];
    test.reduction = static_cast<flagos_comm_reduction_t>(random() % 8);
    test.root = static_cast<std::uint32_t>(random() % size);
    test.in_place = random() % 2 == 0 && test.op != Op::all_to_all_v;
    // As many small ones as large ones.
    const double scale = std::ldexp(static_cast<double>(random() >> 11), -53);
    test.count = static_cast<std::uint64_t>(
                     std::exp(scale * std::log(static_cast<double>(most_elements) + 1))) -
                 1;
    test.seed = random() % 1000;
  } while (!is_defined(test));
  return test;
}

RankCase::RankCase(const Case& test, std::uint32_t rank, std::uint32_t size, RankDevice& device)
    : case_(test), rank_(rank), size_(size), device_(device), width_(dtype_bytes(test.dtype)) {
  plan();
  const auto place = [&](const std::vector<std::byte>& bytes) {
    if (bytes.empty()) return flagos_address_t{0};
    const flagos_address_t address = device_.alloc(bytes.size());
    device_.upload(address, bytes);
    return address;
  };
  source_address_ = place(source_);
  target_address_ = place(target_);
}

RankCase::~RankCase() {
  if (source_address_ != 0) device_.free(source_address_);
  if (target_address_ != 0) device_.free(target_address_);
}

double RankCase::input(std::uint32_t rank, std::uint64_t index) const {
  const std::uint64_t random = mix(case_.seed * 1000003 + rank * 7919 + index * 104729 + 1);
  const bool is_signed = FLAGOS_DTYPE_CODE(case_.dtype) != 1;
  if (case_.dtype == FLAGOS_DTYPE_BOOL) return static_cast<double>(random % 2);
  // Products stay exact in every dtype.
  if (reduces(case_.op) && case_.reduction == FLAGOS_COMM_REDUCTION_PRODUCT) {
    constexpr double factors[] = {1, 2, 1, -1};
    return std::fabs(factors[random % 4]) *
           (is_signed && random % 4 == 3 && case_.dtype != FLAGOS_DTYPE_COMPLEX64 ? -1 : 1);
  }
  const auto value = static_cast<double>(random % 8);
  return is_signed && random % 16 >= 8 && value != 0 ? -value : value;
}

double RankCase::reduced(std::uint32_t last, std::uint64_t index) const {
  const bool is_bool = case_.dtype == FLAGOS_DTYPE_BOOL;
  double value = input(0, index);
  for (std::uint32_t rank = 1; rank < last; ++rank) {
    const double next = input(rank, index);
    const auto a = static_cast<std::int64_t>(value), b = static_cast<std::int64_t>(next);
    switch (case_.reduction) {
      case FLAGOS_COMM_REDUCTION_SUM:
        value = is_bool ? std::max(value, next) : value + next;
        break;
      case FLAGOS_COMM_REDUCTION_AVERAGE:
        value += next;
        break;
      case FLAGOS_COMM_REDUCTION_PRODUCT:
        value *= next;
        break;
      case FLAGOS_COMM_REDUCTION_MIN:
        value = std::min(value, next);
        break;
      case FLAGOS_COMM_REDUCTION_MAX:
        value = std::max(value, next);
        break;
      case FLAGOS_COMM_REDUCTION_BIT_AND:
        value = static_cast<double>(a & b);
        break;
      case FLAGOS_COMM_REDUCTION_BIT_OR:
        value = static_cast<double>(a | b);
        break;
      default:
        value = static_cast<double>(a ^ b);
        break;
    }
  }
  if (case_.reduction != FLAGOS_COMM_REDUCTION_AVERAGE) return value;
  const double divisor = last;
  if (is_integer(case_.dtype)) return std::trunc(value / divisor);
  return case_.dtype == FLAGOS_DTYPE_FLOAT64
             ? value / divisor
             : static_cast<double>(static_cast<float>(value) / static_cast<float>(divisor));
}

// Blocks of equal size one behind the other; of the `v` operations unequal ones, some empty, with gaps where these may be.
RankCase::Layout RankCase::layout(std::uint32_t rank, bool transposed) const {
  Layout result;
  const bool gaps = is_v(case_.op) && case_.op != Op::reduce_scatter_v;
  for (std::uint32_t i = 0; i < size_; ++i) {
    std::uint64_t count = case_.count;
    if (case_.op == Op::all_to_all_v)
      count = case_.count * ((transposed ? i + 2 * rank : rank + 2 * i) % 3);
    else if (is_v(case_.op))
      count = case_.count * ((i + case_.seed) % 3);
    result.counts.push_back(count);
    result.offsets.push_back(result.extent);
    result.extent += count + (gaps ? 2 : 0);
  }
  return result;
}

void RankCase::put(std::vector<std::byte>& bytes, std::uint64_t index, double value) const {
  encode(case_.dtype, value, bytes.data() + index * width_);
}

// The reduction over ranks [0, last). A complex number has twice the same part, so that a product of n of them is a product
// of n real ones, times (1 + i)^n.
void RankCase::put_reduced(std::uint64_t at, std::uint32_t last, std::uint64_t index) {
  put(expected_target_, at, reduced(last, index));
  if (case_.dtype != FLAGOS_DTYPE_COMPLEX64 || case_.reduction != FLAGOS_COMM_REDUCTION_PRODUCT)
    return;
  std::complex<float> value(static_cast<float>(reduced(last, index)));
  for (std::uint32_t i = 0; i < last; ++i) value *= std::complex<float>(1, 1);
  std::memcpy(expected_target_.data() + at * width_, &value, sizeof(value));
}

void RankCase::fill_input(std::vector<std::byte>& bytes, std::uint64_t at, std::uint64_t count,
                          std::uint64_t from) const {
  for (std::uint64_t i = 0; i < count; ++i) put(bytes, at + i, input(rank_, from + i));
}

// Fills the buffers, and what the target must hold afterwards.
void RankCase::plan() {
  layout_ = layout(rank_, false);
  other_layout_ = layout(rank_, true);
  const bool is_root = rank_ == case_.root;
  const auto buffer = [&](std::uint64_t elements) {
    return std::vector<std::byte>((elements + guard_elements) * width_, std::byte{0x5a});
  };
  std::uint64_t source_count = case_.count, target_count = case_.count;
  switch (case_.op) {
    case Op::reduce:
      target_count = is_root ? case_.count : 0;
      break;
    case Op::reduce_scatter:
    case Op::reduce_scatter_v:
      source_count = layout_.extent;
      target_count = layout_.counts[rank_];
      target_in_source_ = true;
      place_ = layout_.offsets[rank_];
      break;
    case Op::all_gather:
    case Op::all_gather_v:
    case Op::gather:
    case Op::gather_v:
      source_count = layout_.counts[rank_];
      target_count = layout_.extent;
      place_ = layout_.offsets[rank_];
      break;
    case Op::scatter:
    case Op::scatter_v:
      source_count = is_root ? layout_.extent : 0;
      target_count = layout_.counts[rank_];
      target_in_source_ = true;
      place_ = layout_.offsets[rank_];
      break;
    case Op::all_to_all:
      source_count = target_count = layout_.extent;
      break;
    case Op::all_to_all_v:
      source_count = layout_.extent;
      target_count = other_layout_.extent;
      break;
    case Op::barrier:
      source_count = target_count = 0;
      break;
    default:
      break;
  }
  const bool no_target =
      (case_.op == Op::reduce || case_.op == Op::gather || case_.op == Op::gather_v) && !is_root;
  const bool one_buffer =
      case_.op == Op::broadcast ||
      (case_.in_place && !no_target && case_.op != Op::ring && case_.op != Op::all_to_all_v &&
       !((case_.op == Op::scatter || case_.op == Op::scatter_v) && !is_root));
  if (!one_buffer) {
    place_ = 0;
    source_ = buffer(source_count);
    fill_input(source_, 0, source_count);
    target_ = buffer(no_target ? 0 : target_count);
  } else if (target_in_source_) {
    target_ = buffer(source_count);
    fill_input(target_, 0, source_count);
  } else {
    target_ = buffer(target_count);
    if (case_.op != Op::broadcast || is_root) fill_input(target_, place_, source_count);
  }
  expected_target_ = target_;
  const std::uint64_t at = one_buffer && target_in_source_ ? place_ : 0;
  const auto expect_input = [&](std::uint64_t to, std::uint64_t count, std::uint32_t rank,
                                std::uint64_t from) {
    for (std::uint64_t i = 0; i < count; ++i) put(expected_target_, to + i, input(rank, from + i));
  };
  switch (case_.op) {
    case Op::all_reduce:
    case Op::reduce:
    case Op::scan:
    case Op::exclusive_scan: {
      const std::uint32_t last = case_.op == Op::scan             ? rank_ + 1
                                 : case_.op == Op::exclusive_scan ? rank_
                                                                  : size_;
      if (no_target || last == 0) break;
      for (std::uint64_t i = 0; i < case_.count; ++i) put_reduced(i, last, i);
      break;
    }
    case Op::reduce_scatter:
    case Op::reduce_scatter_v:
      for (std::uint64_t i = 0; i < layout_.counts[rank_]; ++i)
        put_reduced(at + i, size_, layout_.offsets[rank_] + i);
      break;
    case Op::broadcast:
      expect_input(0, case_.count, case_.root, 0);
      break;
    case Op::all_gather:
    case Op::all_gather_v:
    case Op::gather:
    case Op::gather_v:
      if (no_target) break;
      for (std::uint32_t peer = 0; peer < size_; ++peer)
        expect_input(layout_.offsets[peer], layout_.counts[peer], peer, 0);
      break;
    case Op::scatter:
    case Op::scatter_v:
      expect_input(at, layout_.counts[rank_], case_.root, layout_.offsets[rank_]);
      break;
    case Op::all_to_all:
    case Op::all_to_all_v:
      for (std::uint32_t peer = 0; peer < size_; ++peer)
        expect_input(other_layout_.offsets[peer], other_layout_.counts[peer], peer,
                     layout(peer, false).offsets[rank_]);
      break;
    case Op::ring:
      expect_input(0, case_.count, (rank_ + size_ - 1) % size_, 0);
      break;
    default:
      break;
  }
}

flagos_status_t RankCase::call(flagos_comm_t* comm) {
  flagos_stream_t* const stream = device_.stream();
  flagos_address_t source = source_address_, target = target_address_;
  if (source == 0) source = target_in_source_ ? target : target + place_ * width_;
  if (source_address_ == 0 && target_in_source_) target += place_ * width_;
  const auto& [op, dtype, reduction, count, root, in_place, seed] = case_;
  switch (op) {
    case Op::all_reduce:
      return flagos_comm_all_reduce(comm, stream, source, target, count, dtype, reduction);
    case Op::reduce:
      return flagos_comm_reduce(comm, stream, source, rank_ == root ? target : 0, count, dtype,
                                reduction, root);
    case Op::reduce_scatter:
      return flagos_comm_reduce_scatter(comm, stream, source, target, count, dtype, reduction);
    case Op::reduce_scatter_v:
      return flagos_comm_reduce_scatter_v(comm, stream, source, target, layout_.counts.data(),
                                          dtype, reduction);
    case Op::scan:
      return flagos_comm_scan(comm, stream, source, target, count, dtype, reduction);
    case Op::exclusive_scan:
      return flagos_comm_exclusive_scan(comm, stream, source, target, count, dtype, reduction);
    case Op::broadcast:
      return flagos_comm_broadcast(comm, stream, target, count, dtype, root);
    case Op::all_gather:
      return flagos_comm_all_gather(comm, stream, source, target, count, dtype);
    case Op::all_gather_v:
      return flagos_comm_all_gather_v(comm, stream, source, target, layout_.counts.data(),
                                      layout_.offsets.data(), dtype);
    case Op::gather:
      return flagos_comm_gather(comm, stream, source, rank_ == root ? target : 0, count, dtype,
                                root);
    case Op::gather_v:
      return flagos_comm_gather_v(comm, stream, source, rank_ == root ? target : 0,
                                  layout_.counts.data(), layout_.offsets.data(), dtype, root);
    case Op::scatter:
      return flagos_comm_scatter(comm, stream, rank_ == root ? source : 0, target, count, dtype,
                                 root);
    case Op::scatter_v:
      return flagos_comm_scatter_v(comm, stream, rank_ == root ? source : 0, target,
                                   layout_.counts.data(), layout_.offsets.data(), dtype, root);
    case Op::all_to_all:
      return flagos_comm_all_to_all(comm, stream, source, target, count, dtype);
    case Op::all_to_all_v:
      return flagos_comm_all_to_all_v(comm, stream, source, layout_.counts.data(),
                                      layout_.offsets.data(), target, other_layout_.counts.data(),
                                      other_layout_.offsets.data(), dtype);
    case Op::barrier:
      return flagos_comm_barrier(comm, stream);
    default:
      break;
  }
  flagos_comm_group_begin();
  flagos_comm_send(comm, stream, source, count, dtype, (rank_ + 1) % size_);
  flagos_comm_receive(comm, stream, target, count, dtype, (rank_ + size_ - 1) % size_);
  return flagos_comm_group_end();
}

std::string RankCase::verify() {
  if (!source_.empty() && device_.download(source_address_, source_.size()) != source_)
    return fmt::format("rank {}: {}: the source has changed", rank_, case_.text());
  if (target_.empty()) return "";
  const std::vector<std::byte> found = device_.download(target_address_, target_.size());
  if (found == expected_target_) return "";
  const auto [at, unused] = std::mismatch(found.begin(), found.end(), expected_target_.begin());
  const auto index = static_cast<std::uint64_t>(at - found.begin()) / width_;
  return fmt::format("rank {} of {}: {}: element {} is {}, must be {}", rank_, size_, case_.text(),
                     index, decode(case_.dtype, found.data() + index * width_),
                     decode(case_.dtype, expected_target_.data() + index * width_));
}

}  // namespace flagos::comm::testing
