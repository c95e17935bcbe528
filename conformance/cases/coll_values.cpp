// What native collectives compute and move: every dtype, in place, at odd addresses, and numbers that are not small integers.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "conformance/cases/coll_support.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

constexpr auto all_reduce = FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE;

template <class T>
std::vector<std::uint8_t> bytes_of(const std::vector<T>& values) {
  const auto* const first = reinterpret_cast<const std::uint8_t*>(values.data());
  return {first, first + values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_in(const std::vector<std::uint8_t>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// Everybody sends to the next rank and receives from the one before, each pair of calls in a group.
void pass_on(Ranks& ranks, const std::vector<Desc>& descs, std::uint32_t distance,
             std::vector<flagos_status_t>& statuses) {
  const std::uint32_t size = ranks.size();
  in_threads(size, [&](std::uint32_t i) {
    flagos_collective_group_begin();
    Desc desc = descs[i];
    desc.peer = (i + distance) % size;
    flagos_collective_send(ranks.communicator(i), ranks.stream(i), &desc);
    desc.peer = (i + size - distance) % size;
    flagos_collective_receive(ranks.communicator(i), ranks.stream(i), &desc);
    statuses[i] = flagos_collective_group_end();
  });
}

// all_reduce of one value a rank, for reductions whose result is told in bytes.
template <class T>
void reduce_to(Context& t, Ranks& ranks, flagos_dtype_t dtype,
               flagos_collective_reduction_t reduction, const std::vector<std::vector<T>>& of_ranks,
               const std::vector<T>& wanted, const std::vector<double>& scales = {}) {
  auto descs = ranks.descs(dtype, wanted.size());
  for (std::uint32_t i = 0; i < ranks.size(); ++i) {
    ranks.source(i).write(bytes_of(of_ranks[i]));
    descs[i].reduction = reduction;
    if (!scales.empty()) descs[i].scale = scales[i];
  }
  ranks.run(flagos_collective_all_reduce, descs);
  for (std::uint32_t i = 0; i < ranks.size(); ++i)
    t.equal_bytes(ranks.target(i).read(0, wanted.size() * sizeof(T)), bytes_of(wanted),
                  "the result on rank " + std::to_string(i));
}

template <class T>
void average_integers(Context& t, flagos_dtype_t dtype) {
  constexpr auto average = FLAGOS_COLLECTIVE_REDUCTION_AVERAGE;
  if (!takes(t, all_reduce, dtype, average)) return;
  Ranks ranks(t, 3);
  t.subcase("dtype " + std::to_string(dtype));
  // The sums leave the range of the type; the averages do not, and are rounded towards 0.
  constexpr T most = std::numeric_limits<T>::max(), least = std::numeric_limits<T>::min();
  const auto third = [](int a, int b, int c) { return static_cast<T>((a + b + c) / 3); };
  reduce_to<T>(t, ranks, dtype, average,
               {{most, least, 1, 5, 2}, {most, least, 1, 2, 2}, {most, least, 0, 1, 1}},
               {most, least, third(1, 1, 0), third(5, 2, 1), third(2, 2, 1)});
}

template <class T>
void propagate(Context& t, flagos_dtype_t dtype) {
  if (!takes(t, all_reduce, dtype, FLAGOS_COLLECTIVE_REDUCTION_SUM)) return;
  Ranks ranks(t, 3);
  const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  const std::vector<std::vector<T>> given = {
      {nan, 1, 1, inf, -inf, inf, 1}, {1, nan, 2, 1, 1, -inf, 2}, {2, 2, nan, 2, 2, 1, 3}};
  for (flagos_collective_reduction_t reduction :
       {FLAGOS_COLLECTIVE_REDUCTION_SUM, FLAGOS_COLLECTIVE_REDUCTION_MIN,
        FLAGOS_COLLECTIVE_REDUCTION_MAX}) {
    if (!takes(t, all_reduce, dtype, reduction)) continue;
    t.subcase("dtype " + std::to_string(dtype) + ", reduction " + std::to_string(reduction));
    auto descs = ranks.descs(dtype, given[0].size());
    for (std::uint32_t i = 0; i < 3; ++i) {
      ranks.source(i).write(bytes_of(given[i]));
      descs[i].reduction = reduction;
    }
    ranks.run(flagos_collective_all_reduce, descs);
    const auto bytes = ranks.target(0).read(0, given[0].size() * sizeof(T));
    const auto found = values_in<T>(bytes);
    for (int i = 0; i < 3; ++i)
      t.check(std::isnan(found[i]), "a NaN of rank " + std::to_string(i) + " is in the result");
    if (reduction == FLAGOS_COLLECTIVE_REDUCTION_SUM) {
      t.check(found[3] == inf && found[4] == -inf, "a sum with an infinity is infinite");
      t.check(std::isnan(found[5]), "inf - inf is a NaN");
      t.check(found[6] == 6, "numbers beside them are added");
    } else {
      const bool is_max = reduction == FLAGOS_COLLECTIVE_REDUCTION_MAX;
      t.check(found[3] == (is_max ? inf : 1) && found[4] == (is_max ? 2 : -inf) &&
                  found[5] == (is_max ? inf : -inf) && found[6] == (is_max ? 3 : 1),
              "infinities are ordered");
    }
    for (std::uint32_t i = 1; i < 3; ++i)
      t.equal_bytes(ranks.target(i).read(0, bytes.size()), bytes,
                    "every rank has the same bits, of NaNs too");
  }
}

}  // namespace

FLAGOS_CASE("coll.sendrecv.matrix", (options_of("flagos_collective_send and receive"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_SEND);
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_RECEIVE);
  for (const std::uint32_t size : {2u, 3u}) {
    Ranks ranks(t, size, 8 * 8192);
    for (const flagos_dtype_t dtype : dtypes) {
      if (!takes(t, FLAGOS_COLLECTIVE_OPERATION_SEND, dtype)) continue;
      for (const std::uint64_t count : counts_of(t)) {
        for (std::uint32_t distance = 0; distance < size; ++distance) {
          t.subcase(std::to_string(size) + " ranks, dtype " + std::to_string(dtype) + ", count " +
                    std::to_string(count) + ", to rank + " + std::to_string(distance));
          const std::uint64_t bytes = count * width_of(dtype);
          for (std::uint32_t i = 0; i < size; ++i) {
            ranks.source(i).write(tagged(i, distance, bytes));
            ranks.target(i).write(std::vector<std::uint8_t>(bytes + 8, 0xee));
          }
          std::vector<flagos_status_t> statuses(size);
          pass_on(ranks, ranks.descs(dtype, count), distance, statuses);
          if (statuses[0] == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin has no groups");
          for (std::uint32_t i = 0; i < size; ++i) {
            t.ok(statuses[i], "a send and a receive in a group");
            ranks.stream(i).synchronize();
            t.equal_bytes(ranks.target(i).read(0, bytes),
                          tagged((i + size - distance) % size, distance, bytes),
                          "what the other rank sent");
            t.equal_bytes(ranks.target(i).read(bytes, 8), std::vector<std::uint8_t>(8, 0xee),
                          "nothing behind it is touched");
          }
        }
      }
    }
  }
}

FLAGOS_CASE("coll.move.dtypes",
            (options_of("flagos_collective_desc_t.dtype: counts are elements"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER);
  constexpr std::uint32_t size = 3;
  Ranks ranks(t, size, 3 * 8 * 1025);
  for (const flagos_dtype_t dtype : dtypes) {
    for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{1025}}) {
      t.subcase("dtype " + std::to_string(dtype) + ", count " + std::to_string(count));
      const std::uint64_t block = count * width_of(dtype);
      for (std::uint32_t i = 0; i < size; ++i)
        for (std::uint32_t to = 0; to < size; ++to)
          ranks.source(i).write(tagged(i, to, block), to * block);
      const auto descs = ranks.descs(dtype, count);
      if (takes(t, FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, dtype)) {
        ranks.run(flagos_collective_all_gather, descs);
        for (std::uint32_t i = 0; i < size; ++i)
          for (std::uint32_t from = 0; from < size; ++from)
            t.equal_bytes(ranks.target(i).read(from * block, block), tagged(from, 0, block),
                          "all_gather: the block of rank " + std::to_string(from));
      }
      if (takes(t, FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, dtype)) {
        ranks.run(flagos_collective_all_to_all, descs);
        for (std::uint32_t i = 0; i < size; ++i)
          for (std::uint32_t from = 0; from < size; ++from)
            t.equal_bytes(ranks.target(i).read(from * block, block), tagged(from, i, block),
                          "all_to_all: the block from rank " + std::to_string(from));
      }
      if (takes(t, FLAGOS_COLLECTIVE_OPERATION_SCATTER, dtype)) {
        ranks.run(flagos_collective_scatter, descs);
        for (std::uint32_t i = 0; i < size; ++i)
          t.equal_bytes(ranks.target(i).read(0, block), tagged(0, i, block), "scatter: a block");
      }
      if (takes(t, FLAGOS_COLLECTIVE_OPERATION_BROADCAST, dtype)) {
        ranks.target(0).write(tagged(7, 7, block));
        ranks.run(flagos_collective_broadcast, descs);
        for (std::uint32_t i = 0; i < size; ++i)
          t.equal_bytes(ranks.target(i).read(0, block), tagged(7, 7, block),
                        "broadcast: what the root has");
      }
    }
  }
}

FLAGOS_CASE("coll.in_place", (options_of("collectives whose source and target may be the same"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_INT32);
  constexpr std::uint32_t size = 3;
  constexpr auto dtype = FLAGOS_DTYPE_INT32;
  Ranks ranks(t, size, size * 4 * 1025);
  for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{1023}}) {
    const std::uint64_t block = count * 4;
    t.subcase("count " + std::to_string(count));
    if (takes(t, FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, dtype)) {
      auto descs = ranks.descs(dtype, count);
      for (std::uint32_t i = 0; i < size; ++i) {
        descs[i].source = descs[i].target + i * block;
        ranks.target(i).write(values_of(i, count, dtype), i * block);
      }
      ranks.run(flagos_collective_all_gather, descs);
      for (std::uint32_t i = 0; i < size; ++i)
        for (std::uint32_t from = 0; from < size; ++from)
          t.equal_bytes(ranks.target(i).read(from * block, block), values_of(from, count, dtype),
                        "all_gather of what stands in its block");
    }
    if (takes(t, FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER, dtype)) {
      auto descs = ranks.descs(dtype, count);
      for (std::uint32_t i = 0; i < size; ++i) {
        ranks.source(i).write(values_of(i, size * count, dtype));
        descs[i].target = descs[i].source + i * block;
      }
      ranks.run(flagos_collective_reduce_scatter, descs);
      for (std::uint32_t i = 0; i < size; ++i)
        t.equal_bytes(ranks.source(i).read(i * block, block),
                      reduced_values(size, i * count, count, dtype, 0),
                      "reduce_scatter into its block");
    }
    if (takes(t, FLAGOS_COLLECTIVE_OPERATION_SCATTER, dtype)) {
      auto descs = ranks.descs(dtype, count);
      for (auto& desc : descs) desc.peer = 1;
      ranks.source(1).write(values_of(1, size * count, dtype));
      descs[1].target = descs[1].source + block;
      ranks.run(flagos_collective_scatter, descs);
      t.equal_bytes(ranks.source(1).read(0, size * block), values_of(1, size * count, dtype),
                    "scatter leaves the root's blocks as they were");
      const auto all = values_of(1, size * count, dtype);
      t.equal_bytes(
          ranks.target(2).read(0, block),
          std::vector<std::uint8_t>(all.end() - static_cast<std::ptrdiff_t>(block), all.end()),
          "scatter to another rank");
    }
    if (takes(t, FLAGOS_COLLECTIVE_OPERATION_REDUCE, dtype)) {
      auto descs = ranks.descs(dtype, count);
      for (std::uint32_t i = 0; i < size; ++i) {
        ranks.source(i).write(values_of(i, count, dtype));
        descs[i].peer = 2;
      }
      descs[2].target = descs[2].source;
      ranks.run(flagos_collective_reduce, descs);
      t.equal_bytes(ranks.source(2).read(0, block), reduced_values(size, 0, count, dtype, 0),
                    "reduce into the root's source");
    }
  }
}

FLAGOS_CASE("coll.zero_count", (options_of("flagos_collective_desc_t.count: 0 is an operation"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_INT32);
  Ranks ranks(t, 2);
  const std::vector<std::uint8_t> old(64, 0xee);
  struct Row {
    flagos_collective_operation_t operation;
    Function function;
  };
  for (const Row& row :
       {Row{all_reduce, flagos_collective_all_reduce},
        Row{FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, flagos_collective_all_gather},
        Row{FLAGOS_COLLECTIVE_OPERATION_BROADCAST, flagos_collective_broadcast},
        Row{FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, flagos_collective_all_to_all}}) {
    if (!takes(t, row.operation, FLAGOS_DTYPE_INT32)) continue;
    t.subcase("operation " + std::to_string(row.operation));
    for (std::uint32_t i = 0; i < 2; ++i) ranks.target(i).write(old);
    auto descs = ranks.descs(FLAGOS_DTYPE_INT32, 0);
    ranks.run(row.function, descs);
    for (auto& desc : descs) desc.source = desc.target = 0;
    ranks.run(row.function, descs);
    for (std::uint32_t i = 0; i < 2; ++i)
      t.equal_bytes(ranks.target(i).read(0, 64), old, "nothing is written");
  }
  t.subcase("afterwards");
  for (std::uint32_t i = 0; i < 2; ++i) ranks.source(i).write(values_of(i, 16, FLAGOS_DTYPE_INT32));
  ranks.run(flagos_collective_all_reduce, ranks.descs(FLAGOS_DTYPE_INT32, 16));
  for (std::uint32_t i = 0; i < 2; ++i)
    t.equal_bytes(ranks.target(i).read(0, 64), reduced_values(2, 0, 16, FLAGOS_DTYPE_INT32, 0),
                  "the next sum");
}

FLAGOS_CASE("coll.avg.rounding", (options_of("FLAGOS_COLLECTIVE_REDUCTION_AVERAGE"))) {
  constexpr auto average = FLAGOS_COLLECTIVE_REDUCTION_AVERAGE;
  require_operation(t, all_reduce, FLAGOS_DTYPE_FLOAT32, average);
  average_integers<std::int8_t>(t, FLAGOS_DTYPE_INT8);
  average_integers<std::uint8_t>(t, FLAGOS_DTYPE_UINT8);
  average_integers<std::int32_t>(t, FLAGOS_DTYPE_INT32);
  average_integers<std::int64_t>(t, FLAGOS_DTYPE_INT64);
  t.subcase("float32");
  Ranks ranks(t, 4);
  reduce_to<float>(t, ranks, FLAGOS_DTYPE_FLOAT32, average,
                   {{1, -2, 0.5f}, {2, -4, 0.25f}, {3, -6, 0}, {4, -8, 0.25f}}, {2.5f, -5, 0.25f});
}

FLAGOS_CASE("coll.premul_custom_op",
            (options_of("FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM"))) {
  constexpr auto scaled = FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM;
  require_operation(t, all_reduce, FLAGOS_DTYPE_FLOAT32, scaled);
  Ranks ranks(t, 3);
  t.subcase("a scale for each rank");
  reduce_to<float>(t, ranks, FLAGOS_DTYPE_FLOAT32, scaled, {{1, 8, 3}, {2, 8, 5}, {4, 8, 7}},
                   {0.5f * 1 + 2 * 2 - 4, 0.5f * 8 + 2 * 8 - 8, 0.5f * 3 + 2 * 5 - 7},
                   {0.5, 2, -1});
  t.subcase("a scale of 0");
  reduce_to<float>(t, ranks, FLAGOS_DTYPE_FLOAT32, scaled, {{1, 8}, {2, 8}, {4, 8}}, {4, 8},
                   {0, 0, 1});
  if (takes(t, all_reduce, FLAGOS_DTYPE_FLOAT64, scaled)) {
    t.subcase("float64");
    reduce_to<double>(t, ranks, FLAGOS_DTYPE_FLOAT64, scaled, {{1, 8}, {2, 8}, {4, 8}}, {2.5, 12},
                      {0.5, 1, 0});
  }
}

FLAGOS_CASE("coll.bit_reductions", (options_of("FLAGOS_COLLECTIVE_REDUCTION_BIT_*"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_UINT32, FLAGOS_COLLECTIVE_REDUCTION_BIT_XOR);
  Ranks ranks(t, 3);
  std::vector<std::vector<std::uint32_t>> given(3);
  std::vector<std::uint32_t> all(100, ~0u), any(100), odd(100);
  for (auto& values : given) {
    values = random_words(t, 100);
    for (std::size_t i = 0; i < 100; ++i) {
      all[i] &= values[i];
      any[i] |= values[i];
      odd[i] ^= values[i];
    }
  }
  const auto run = [&](flagos_collective_reduction_t reduction, const auto& wanted) {
    if (!takes(t, all_reduce, FLAGOS_DTYPE_UINT32, reduction)) return;
    t.subcase("reduction " + std::to_string(reduction));
    reduce_to<std::uint32_t>(t, ranks, FLAGOS_DTYPE_UINT32, reduction, given, wanted);
  };
  run(FLAGOS_COLLECTIVE_REDUCTION_BIT_AND, all);
  run(FLAGOS_COLLECTIVE_REDUCTION_BIT_OR, any);
  run(FLAGOS_COLLECTIVE_REDUCTION_BIT_XOR, odd);
}

FLAGOS_CASE("coll.int_wrap", (options_of("FLAGOS_COLLECTIVE_REDUCTION_SUM: integers wrap"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_INT32);
  Ranks ranks(t, 2);
  if (takes(t, all_reduce, FLAGOS_DTYPE_INT8)) {
    t.subcase("int8");
    reduce_to<std::int8_t>(t, ranks, FLAGOS_DTYPE_INT8, FLAGOS_COLLECTIVE_REDUCTION_SUM,
                           {{127, -128, 100}, {1, -1, 100}}, {-128, 127, -56});
  }
  t.subcase("int32");
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  reduce_to<std::int32_t>(t, ranks, FLAGOS_DTYPE_INT32, FLAGOS_COLLECTIVE_REDUCTION_SUM,
                          {{most, -most - 1}, {1, -1}}, {-most - 1, most});
  if (takes(t, all_reduce, FLAGOS_DTYPE_UINT64, FLAGOS_COLLECTIVE_REDUCTION_PRODUCT)) {
    t.subcase("uint64");
    reduce_to<std::uint64_t>(t, ranks, FLAGOS_DTYPE_UINT64, FLAGOS_COLLECTIVE_REDUCTION_PRODUCT,
                             {{std::uint64_t{1} << 63, 3}, {2, std::uint64_t{1} << 63}},
                             {0, std::uint64_t{1} << 63});
  }
}

FLAGOS_CASE("coll.nan_inf", (options_of("FLAGOS_COLLECTIVE_REDUCTION_MIN: a NaN wins"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_FLOAT32);
  propagate<float>(t, FLAGOS_DTYPE_FLOAT32);
  propagate<double>(t, FLAGOS_DTYPE_FLOAT64);
}

FLAGOS_CASE("coll.same_result_all_ranks",
            (options_of("native collectives: Results are the same on all ranks", Oracle::bound))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_FLOAT32);
  constexpr std::uint32_t size = 4;
  const std::uint64_t count = repeats(t, 10'000, 1000);
  Ranks ranks(t, size, 4 * count);
  std::vector<std::vector<float>> given(size, std::vector<float>(count));
  std::vector<double> sums(count), scale(count);
  for (auto& values : given) {
    for (std::uint64_t i = 0; i < count; ++i) {
      // Of all magnitudes: in another order the sum has other bits.
      const double real = std::ldexp(static_cast<double>(t.random_below(2'000'001)) - 1e6,
                                     static_cast<int>(t.random_below(40)) - 40);
      values[i] = static_cast<float>(real);
      sums[i] += static_cast<double>(values[i]);
      scale[i] += std::abs(static_cast<double>(values[i]));
    }
  }
  for (std::uint32_t i = 0; i < size; ++i) ranks.source(i).write(bytes_of(given[i]));
  ranks.run(flagos_collective_all_reduce, ranks.descs(FLAGOS_DTYPE_FLOAT32, count));
  const auto first = ranks.target(0).read(0, 4 * count);
  const auto values = values_in<float>(first);
  for (std::uint64_t i = 0; i < count; ++i)
    t.check(std::abs(static_cast<double>(values[i]) - sums[i]) <= scale[i] * size * 0x1p-24,
            "sum " + std::to_string(i) + " is within its bound");
  for (std::uint32_t i = 1; i < size; ++i)
    t.equal_bytes(ranks.target(i).read(0, 4 * count), first, "every rank has the same bits");
}

FLAGOS_CASE("coll.alignment",
            (options_of("collectives of buffers at any multiple of an element"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_UINT8);
  constexpr std::uint32_t size = 2;
  Ranks ranks(t, size);
  for (const flagos_dtype_t dtype :
       {FLAGOS_DTYPE_UINT8, FLAGOS_DTYPE_FLOAT16, FLAGOS_DTYPE_INT32, FLAGOS_DTYPE_FLOAT64}) {
    if (!takes(t, all_reduce, dtype)) continue;
    const std::uint64_t width = width_of(dtype);
    for (std::uint64_t offset = 1; offset < 16; offset += t.settings().quick ? 6 : 1) {
      const std::uint64_t count = 257, other = 16 - offset;
      t.subcase("dtype " + std::to_string(dtype) + ", elements " + std::to_string(offset) +
                " and " + std::to_string(other) + " away");
      auto descs = ranks.descs(dtype, count);
      for (std::uint32_t i = 0; i < size; ++i) {
        ranks.target(i).write(std::vector<std::uint8_t>(width * (count + 17), 0xee));
        ranks.source(i).write(values_of(i, count, dtype), offset * width);
        descs[i].source += offset * width;
        descs[i].target += other * width;
      }
      ranks.run(flagos_collective_all_reduce, descs);
      const auto wanted = reduced_values(size, 0, count, dtype, 0);
      for (std::uint32_t i = 0; i < size; ++i) {
        t.equal_bytes(ranks.target(i).read(other * width, wanted.size()), wanted, "the sum");
        t.equal_bytes(ranks.target(i).read(0, other * width),
                      std::vector<std::uint8_t>(other * width, 0xee), "the bytes before it");
        t.equal_bytes(ranks.target(i).read((other + count) * width, width),
                      std::vector<std::uint8_t>(width, 0xee), "the element behind it");
      }
    }
  }
}

FLAGOS_CASE("coll.allreduce.large_counts",
            (options_of("flagos_collective_all_reduce: many elements"))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_INT32);
  constexpr std::uint32_t size = 3;
  const std::uint64_t most = t.settings().quick ? 100'003 : 4'194'307;
  Ranks ranks(t, size, 4 * most);
  for (const std::uint64_t count : {most, most - 2, most / 2}) {
    t.subcase("count " + std::to_string(count));
    for (std::uint32_t i = 0; i < size; ++i)
      ranks.source(i).write(values_of(i, count, FLAGOS_DTYPE_INT32));
    ranks.run(flagos_collective_all_reduce, ranks.descs(FLAGOS_DTYPE_INT32, count));
    const auto wanted = reduced_values(size, 0, count, FLAGOS_DTYPE_INT32, 0);
    for (std::uint32_t i = 0; i < size; ++i)
      t.equal_bytes(ranks.target(i).read(0, 4 * count), wanted, "the sum on a rank");
  }
}

}  // namespace flagos::conformance
