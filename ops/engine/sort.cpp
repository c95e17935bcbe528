#include "ops/engine/sort.hpp"

#include <bit>
#include <limits>

#include "ops/engine/reduction.hpp"
#include "ops/engine/walk.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;
enum SharedKernel : std::uint32_t {
  kernel_keys = 16,
  kernel_tiles,
  kernel_count,
  kernel_start,
  kernel_move,
  kernel_blocks,
  kernel_merge
};
// Lines up to this are sorted within a tile.
constexpr std::int64_t longest_tile = 256;
constexpr int digits = 256, digit_bits = 8;

std::int64_t divided(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }
tile::DType unsigned_of(DType key) {
  return key == DType::i64 ? tile::DType::u64 : tile::DType::u32;
}

// The bit pattern of infinity, without sign.
long long infinity_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 0x7c00;
    case DType::bf16:
      return 0x7f80;
    case DType::f32:
      return 0x7f800000;
    default:
      return 0x7ff0000000000000;
  }
}

// A number of as many bits as the element, in the order of the elements: unsigned with `flip`; else, where the bits are
// all that it is held in, signed.
Tile key_of(const Tile& stored, DType dtype, tile::DType held, int bits, bool descending,
            bool flip) {
  Tile x = cast(stored, held);
  const long long sign = bits == 64   ? std::numeric_limits<long long>::min()
                         : bits == 32 ? std::numeric_limits<std::int32_t>::min()
                                      : 1LL << (bits - 1);
  const long long mask = bits == 64 || bits == 32 ? -1 : (1LL << bits) - 1;
  const long long most = (~0ULL >> 1) >> (64 - bits);
  if (is_floating(dtype)) {
    const Tile size = x & most;
    x = where(size > infinity_of(dtype), most, where(x < 0, -size, size));
  }
  if (dtype != DType::u8 && dtype != DType::boolean && (flip || mask != -1)) x = (x ^ sign) & mask;
  return descending ? x ^ mask : x;
}

}  // namespace

Sorted::Sorted(Call& call, const Tensor& input, int dim, bool descending) {
  const int rank = input.rank;
  std::vector<std::int64_t> shape(input.dims().begin(), input.dims().end());
  std::vector<int> axes;  // of the workspace, for each of input
  if (rank > 0) std::rotate(shape.begin() + dim, shape.begin() + dim + 1, shape.end());
  for (int axis = 0; axis < rank; ++axis)
    axes.push_back(axis == dim ? rank - 1 : axis - (axis > dim ? 1 : 0));
  Job job{1, rank > 0 ? input.shape[dim] : 1, DType::i32, DType::i32,
          static_cast<int>(size_of(input.dtype)) * 8};
  if (job.bits > 32) job.key = DType::i64;
  if (job.length > std::numeric_limits<std::int32_t>::max()) job.place = DType::i64;
  memory_.emplace_back(call, job.place, shape);
  order_ = memory_.back().tensor().permuted(axes);
  const std::int64_t count = input.elements();
  if (count == 0) return;
  job.lines = count / job.length;
  if (job.length == 1) {
    fill(call, order_, Scalar{});
  } else if (job.length <= longest_tile) {
    sort_tiles(call, input, dim, descending);
  } else {
    sort_lines(call, input, job, descending);
  }
}

// Lines that are longer than a tile: by keys, in dense workspace.
void Sorted::sort_lines(Call& call, const Tensor& input, const Job& job, bool descending) {
  const std::int64_t flat[] = {job.lines, job.length};
  const bool serial = call.device().is_serial();
  const Scratch keys(call, job.key, flat);
  Walk walk(call, input.dims());
  Tensor as_order = order_;  // the same, of keys
  as_order.address = keys.tensor().address;
  as_order.dtype = job.key;
  const int to = walk.write(as_order);
  const int from = walk.read(is_floating(input.dtype) ? as_moved(input) : input);
  Key key = Walk::shared_key(kernel_keys);
  key.add(descending, 1).add(static_cast<std::uint64_t>(input.dtype), 4);
  walk.run(key, "keys", [&](const Here& here) {
    here.store(
        to, key_of(here.load(from), input.dtype, stored_as(job.key), job.bits, descending, serial));
  });
  if (serial) {
    sort_by_digits(call, job, keys.tensor().address);
  } else {
    sort_by_merging(call, job, keys.tensor().address);
  }
}

void Sorted::sort_tiles(Call& call, const Tensor& input, int dim, bool descending) {
  const DType type = input.dtype;
  Lines lines(call, input.dims(), 1U << dim, {{order_, Part::full, true}, {input}});
  const tile::Operand last = is_floating(type) && !descending
                                 ? tile::Operand(std::numeric_limits<double>::quiet_NaN())
                                 : neutral(type, descending);
  lines.run(
      Walk::shared_key(kernel_tiles).add(descending, 1), tile::DType::f32, [&](LineKernel& l) {
        const Tile zero = l.k.constant(i64, 0);
        const Tile x = l.load(1, zero, last, stored_as(type));
        const Tile places =
            broadcast(expand(l.k.range(l.plan.width), l.plan.columns ? 1 : 0), l.tile_shape());
        l.store(0, zero, tile::sort(x, {places}, l.axis, descending)[1]);
      });
}

// ---- processors: digit by digit, from the lowest -----------------------------------------------------------------------

// Lines are cut into parts, so that there are enough programs; each part counts its digits, and then knows where its
// elements go. What is done for an element is a few loads and stores, one element after the other.
void Sorted::sort_by_digits(Call& call, const Job& job, flagos_address_t keys) {
  const std::int64_t least = 16384;  // elements of a part
  const std::int64_t parts = std::clamp<std::int64_t>(
      job.length / least, 1, std::max<std::int64_t>(call.device().programs() / job.lines, 1));
  const std::int64_t blocks = job.lines * parts, step = divided(job.length, parts);
  const std::int64_t count = job.lines * job.length;
  const std::int64_t counters_shape[] = {blocks, digits}, all[] = {count};
  const Scratch counters(call, job.place, counters_shape), other_keys(call, job.key, all),
      other_order(call, job.place, all);
  const int passes = job.bits / digit_bits;

  const tile::DType key_type = unsigned_of(job.key), place = stored_as(job.place);
  const auto kernel = [&](std::uint32_t which, bool first, bool last, auto build) {
    Key key = Walk::shared_key(which);
    key.add(job.key == DType::i64, 1).add(job.place == DType::i64, 1).add(first, 1).add(last, 1);
    return call.device().kernel(key, [&] {
      tile::Module module;
      module.kernel("ops_sort_digits", {{"FIRST", first}, {"LAST", last}}, build);
      return module.text(false);
    });
  };
  struct Sizes {
    Tile lines, length, parts, step, shift;
  };
  const auto sizes = [&](Kernel& k) {
    return Sizes{k.scalar("lines", i64), k.scalar("length", i64), k.scalar("parts", i64),
                 k.scalar("step", i64), k.scalar("shift", i64)};
  };
  const auto digit_of = [&](const Tile& key, const Sizes& s) {
    return cast((key >> cast(s.shift, key_type)) & (digits - 1), i64);
  };
  flagos_kernel_t* const counted = kernel(kernel_count, false, false, [&](Kernel& k) {
    const auto in = k.pointer("keys", key_type, "readonly, noalias"),
               to = k.pointer("counters", place, "noalias");
    const Sizes s = sizes(k);
    for_each_block(k, s.lines * s.parts, [&](const Tile& block) {
      const tile::View from = k.view(in, {s.lines, s.length}, {s.length, 1});
      const tile::View counts = k.view(to, {s.lines * s.parts, digits}, {digits, 1});
      const Tile line = block / s.parts, low = block % s.parts * s.step;
      k.store(counts, {block, 0}, k.full(place, {1, digits}, 0));
      k.loop(low, min(low + s.step, s.length), k.constant(i64, 1), [&](const Tile& i) {
        const Tile digit = digit_of(k.load(from, {line, i}), s);
        k.store(counts, {block, digit}, k.load(counts, {block, digit}) + 1);
      });
    });
  });
  // Of counters: how many elements come before those of a digit in a part.
  flagos_kernel_t* const started = kernel(kernel_start, false, false, [&](Kernel& k) {
    const auto to = k.pointer("counters", place, "noalias");
    const Sizes s = sizes(k);
    for_each_block(k, s.lines, [&](const Tile& line) {
      const tile::View counts =
          k.view(to, {s.lines, s.parts, digits}, {s.parts * digits, digits, 1});
      const auto of_part = [&](const Tile& part) {
        return reshape(k.load(counts, {line, part, 0}, {1, 1, digits}), {digits});
      };
      const Tile zero = k.constant(i64, 0), one = k.constant(i64, 1);
      const Tile in_all =
          k.loop(zero, s.parts, one, k.full(place, {digits}, 0),
                 [&](const Tile& part, const Tile& sum) { return sum + of_part(part); });
      k.loop(zero, s.parts, one, cumsum(in_all, 0) - in_all,
             [&](const Tile& part, const Tile& before) {
               const Tile own = of_part(part);
               k.store(counts, {line, part, 0}, reshape(before, {1, 1, digits}));
               return before + own;
             });
    });
  });
  flagos_address_t from_keys = keys, to_keys = other_keys.tensor().address;
  flagos_address_t to_order = order_.address, from_order = other_order.tensor().address;
  if (passes % 2 == 0) std::swap(to_order, from_order);
  for (int pass = 0; pass < passes; ++pass) {
    const bool first = pass == 0, last = pass == passes - 1;
    flagos_kernel_t* const moved = kernel(kernel_move, first, last, [&](Kernel& k) {
      const auto in = k.pointer("keys", key_type, "readonly, noalias"),
                 places_in = k.pointer("places", place, "readonly, noalias"),
                 counters_at = k.pointer("counters", place, "noalias"),
                 out = k.pointer("keys_out", key_type, "noalias"),
                 places_out = k.pointer("places_out", place, "noalias");
      const Sizes s = sizes(k);
      for_each_block(k, s.lines * s.parts, [&](const Tile& block) {
        const auto lines_at = [&](const tile::Pointer& at) {
          return k.view(at, {s.lines, s.length}, {s.length, 1});
        };
        const tile::View from = lines_at(in), from_places = lines_at(places_in), to = lines_at(out),
                         to_places = lines_at(places_out);
        const tile::View counts = k.view(counters_at, {s.lines * s.parts, digits}, {digits, 1});
        const Tile line = block / s.parts, low = block % s.parts * s.step;
        k.loop(low, min(low + s.step, s.length), k.constant(i64, 1), [&](const Tile& i) {
          const Tile key = k.load(from, {line, i});
          const Tile digit = digit_of(key, s);
          const Tile target = k.load(counts, {block, digit});
          k.store(counts, {block, digit}, target + 1);
          if (!last) k.store(to, {line, target}, key);
          k.store(to_places, {line, target},
                  first ? cast(i, place) : k.load(from_places, {line, i}));
        });
      });
    });
    const auto put_sizes = [&](Launch& launch) -> Launch& {
      return launch.integer(job.lines)
          .integer(job.length)
          .integer(parts)
          .integer(step)
          .integer(pass * digit_bits);
    };
    Launch count_launch(call, counted), start_launch(call, started), move_launch(call, moved);
    count_launch.pointer(from_keys).pointer(counters.tensor().address);
    put_sizes(count_launch).run(blocks);
    start_launch.pointer(counters.tensor().address);
    put_sizes(start_launch).run(job.lines);
    move_launch.pointer(from_keys).pointer(from_order).pointer(counters.tensor().address);
    move_launch.pointer(to_keys).pointer(to_order);
    put_sizes(move_launch).run(blocks);
    std::swap(from_keys, to_keys);
    std::swap(from_order, to_order);
  }
}

// ---- groups of threads: blocks, which are merged two by two ------------------------------------------------------------

// An element's place in a pair of runs is its own in its run, and how many elements of the other run come before it.
void Sorted::sort_by_merging(Call& call, const Job& job, flagos_address_t keys) {
  constexpr int block_size = static_cast<int>(longest_tile), tile_size = 1024;
  const std::int64_t count = job.lines * job.length;
  const std::int64_t all[] = {count};
  const Scratch other_keys(call, job.key, all), other_order(call, job.place, all);
  int passes = 0;
  for (std::int64_t run = block_size; run < job.length; run *= 2) ++passes;

  const tile::DType key_type = stored_as(job.key), place = stored_as(job.place);
  const tile::Operand most = job.key == DType::i64
                                 ? tile::Operand(std::numeric_limits<long long>::max())
                                 : tile::Operand(std::numeric_limits<std::int32_t>::max());
  const auto kernel = [&](std::uint32_t which, bool last, const char* name, auto build) {
    Key key = Walk::shared_key(which);
    key.add(job.key == DType::i64, 1).add(job.place == DType::i64, 1).add(last, 1);
    return call.device().kernel(key, [&] {
      tile::Module module;
      module.kernel(name, {{"LAST", last}}, build);
      return module.text(false);
    });
  };
  flagos_address_t from_keys = other_keys.tensor().address, to_keys = keys;
  flagos_address_t from_order = order_.address, to_order = other_order.tensor().address;
  if (passes % 2 != 0) std::swap(from_order, to_order);
  flagos_kernel_t* const blocks = kernel(kernel_blocks, false, "ops_sort_blocks", [&](Kernel& k) {
    const auto in = k.pointer("keys", key_type, "readonly, noalias"),
               out = k.pointer("keys_out", key_type, "noalias"),
               places_out = k.pointer("places_out", place, "noalias");
    const Tile lines = k.scalar("lines", i64), length = k.scalar("length", i64);
    const Tile across = (length + (block_size - 1)) / block_size;
    for_each_block(k, lines * across, [&](const Tile& block) {
      const auto view = [&](const tile::Pointer& at) {
        return k.view(at, {lines, length}, {length, 1});
      };
      const Tile line = block / across, at = block % across * block_size;
      const Tile x = reshape(k.load(view(in), {line, at}, {1, block_size}, most), {block_size});
      const std::vector<Tile> sorted = tile::sort(x, {k.range(block_size)}, 0);
      k.store(view(out), {line, at}, reshape(sorted[0], {1, block_size}));
      k.store(view(places_out), {line, at},
              reshape(cast(cast(sorted[1], i64) + at, place), {1, block_size}));
    });
  });
  Launch(call, blocks)
      .pointer(keys)
      .pointer(from_keys)
      .pointer(from_order)
      .integer(job.lines)
      .integer(job.length)
      .run(job.lines * divided(job.length, block_size));
  std::int64_t run = block_size;
  for (int pass = 0; pass < passes; ++pass, run *= 2) {
    const bool last = pass == passes - 1;
    flagos_kernel_t* const merged = kernel(kernel_merge, last, "ops_sort_merge", [&](Kernel& k) {
      const auto in = k.pointer("keys", key_type, "readonly, noalias"),
                 places_in = k.pointer("places", place, "readonly, noalias"),
                 out = k.pointer("keys_out", key_type, "noalias"),
                 places_out = k.pointer("places_out", place, "noalias");
      const Tile lines = k.scalar("lines", i64), length = k.scalar("length", i64);
      const Tile size = k.scalar("run", i64), steps = k.scalar("steps", i64);
      const Tile total = lines * length;
      for_each_block(k, (total + (tile_size - 1)) / tile_size, [&](const Tile& block) {
        const auto view = [&](const tile::Pointer& at) { return k.view(at, {total}, {1}); };
        const Tile e = k.range(tile_size, i64) + block * tile_size;
        const Tile inside = e < total;
        const Tile start = e / length * length, i = e - start;  // of the line, and in it
        const Tile pair = i / (size * 2) * (size * 2);
        const Tile is_left = i - pair < size;
        const Tile key = k.load(view(in), {block * tile_size}, {tile_size});
        const Tile middle = min(pair + size, length);
        const Tile other = where(is_left, middle, pair);
        const Tile end = where(is_left, min(pair + size * 2, length), middle);
        const auto found =
            k.loop(k.constant(i64, 0), steps, k.constant(i64, 1), tile::carry(other, end),
                   [&](const Tile&, const Tile& low, const Tile& high) {
                     const Tile at = (low + high) / 2;
                     const Tile open = inside & (low < high);
                     const Tile theirs = k.gather(view(in), {start + at}, open);
                     const Tile before = (theirs < key) | ((theirs == key) & !is_left);
                     return tile::carry(where(open & before, at + 1, low),
                                        where(open & !before, at, high));
                   });
        const Tile target = start + pair + (found[0] - other) + (i - where(is_left, pair, middle));
        if (!last) k.scatter(view(out), {target}, key, inside);
        k.scatter(view(places_out), {target},
                  k.load(view(places_in), {block * tile_size}, {tile_size}), inside);
      });
    });
    Launch(call, merged)
        .pointer(from_keys)
        .pointer(from_order)
        .pointer(to_keys)
        .pointer(to_order)
        .integer(job.lines)
        .integer(job.length)
        .integer(run)
        .integer(std::bit_width(static_cast<std::uint64_t>(run)) + 1)
        .run(divided(count, tile_size));
    std::swap(from_keys, to_keys);
    std::swap(from_order, to_order);
  }
}

}  // namespace flagos::ops
