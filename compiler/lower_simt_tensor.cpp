// Products on tensor cores. A factor lies in local memory in rows with 16 bytes of padding, so that the eight rows which are
// read at once lie in different banks. Pitches and addresses are in halves, of which an instruction takes 16 along the
// depth whatever the numbers are. A factor that is loaded for the product alone goes there straight from global memory;
// in a loop that of the next rounds while this one is multiplied.
#include <algorithm>

#include "compiler/simt_emitter.hpp"

namespace flagos::compiler {
namespace {

constexpr std::int64_t kPadding = 8;      // halves
constexpr std::int64_t kChunkBytes = 16;  // of one copy

std::string halves(const std::string& base) { return fmt::format("L16({})", base); }

// Words across the rows are read one by one: four rows of eight words at once.
std::int64_t pitch_of(std::int64_t columns, const Piece& piece, bool along) {
  return columns * piece.bytes() / 2 + (piece.bytes() == 4 && !along ? 2 * kPadding : kPadding);
}

const char* local_type(const Piece& piece) {
  return piece.bytes() == 1 ? "unsigned char" : piece.bytes() == 2 ? "unsigned short" : "f32";
}

bool is_transposition(const Op& op) {
  return op.code == OpCode::trans && op.find("perm")->list == std::vector<std::int64_t>{1, 0};
}

}  // namespace

// ---- which loads feed a product ----------------------------------------------------------------------------------

void SimtEmitter::find_feeds(const Block& block) {
  std::map<ValueId, const Op*> made;
  for (const Op& op : block.ops) {
    for (const ValueId result : op.results) made[result] = &op;
    for (const Block& region : op.regions) find_feeds(region);
    const Tiling* const tiling = op.code == OpCode::dot ? tiling_of(op) : nullptr;
    if (tiling == nullptr || !tiling->tensor) continue;
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) find_feed(op, side, made);
  }
}

// Nobody writes what a readonly argument points to, so the load may wait for the product.
void SimtEmitter::find_feed(const Op& dot, std::size_t side, const std::map<ValueId, const Op*>& made) {
  const auto maker = [&](ValueId value) -> const Op* {
    const auto found = made.find(root(value));
    return found != made.end() && values_[root(value)].uses == 1 ? found->second : nullptr;
  };
  Feed feed;
  feed.dot = &dot;
  feed.side = side;
  feed.load = maker(dot.operands[side]);
  if (feed.load != nullptr && is_transposition(*feed.load)) {
    feed.trans = feed.load;
    feed.load = maker(feed.trans->operands[0]);
  }
  if (feed.load == nullptr || feed.load->code != OpCode::load) return;
  const Type& tile = result_type(*feed.load);
  const Type& factor = feed.trans != nullptr ? operand_type(*feed.trans, 0) : operand_type(dot, side);
  if (readonly_views_.count(feed.load->operands[0]) == 0 || tile.rank < 2 || factor.rank != 2) return;
  // Behind what a reshape made of it: leading axes of 1 only.
  for (std::size_t axis = 0; axis < tile.rank; ++axis) {
    const std::int32_t wanted = axis + 2 < tile.rank ? 1 : factor.dims[axis + 2 - tile.rank];
    if (tile.dims[axis] != wanted) return;
  }
  const Piece piece = piece_of(dot);
  if (tile.dims[tile.rank - 1U] * piece.bytes() % kChunkBytes != 0) return;
  // Bytes cannot be turned around on their way to the tensor cores.
  if (piece.bytes() == 1 && !is_along(feed)) return;
  deferred_.insert(feed.load);
  if (feed.trans != nullptr) deferred_.insert(feed.trans);
  feeds_.push_back(std::move(feed));
}

SimtEmitter::Feed* SimtEmitter::feed_of(const Op& dot, std::size_t side) {
  const auto found = std::find_if(feeds_.begin(), feeds_.end(),
                                  [&](const Feed& feed) { return feed.dot == &dot && feed.side == side; });
  return found == feeds_.end() ? nullptr : &*found;
}

// As it lies in memory: rows of a along the depth, rows of b across it.
bool SimtEmitter::is_along(const Feed& feed) { return (feed.side == 0) == (feed.trans == nullptr); }

std::int64_t SimtEmitter::feed_pitch(const Feed& feed) const {
  const Type& tile = result_type(*feed.load);
  return pitch_of(tile.dims[tile.rank - 1U], piece_of(*feed.dot), is_along(feed));
}

std::uint64_t SimtEmitter::feed_words(const Feed& feed) const {
  const Type& tile = result_type(*feed.load);
  return static_cast<std::uint64_t>(tile.elements() / tile.dims[tile.rank - 1U] * feed_pitch(feed) / 2);
}

// ---- factors in local memory -------------------------------------------------------------------------------------

// In chunks of 16 bytes, which need no register on their way; element by element at the edges of the view, where rows are
// not contiguous or not aligned, and where numbers become wider.
void SimtEmitter::emit_copy(const Feed& feed, const std::string& base) {
  const Op& op = *feed.load;
  const View& view = views_.at(op.operands[0]);
  const Type& tile = result_type(op);
  const std::size_t last = tile.rank - 1U;
  const Piece piece = piece_of(*feed.dot);
  const std::int64_t chunk = kChunkBytes / piece.bytes(), columns = tile.dims[last], chunks = tile.elements() / chunk;
  const char* const kind = local_type(piece);
  close();
  std::string inside, offset;
  AxisText index;
  line("for (u32 i = t; i < {}u; i = i + {}u) {{", chunks, threads_);
  line("const u32 row = i / {0}u, column = i % {0}u * {1}u;", columns / chunk, chunk);
  for (std::size_t axis = 0; axis <= last; ++axis) {
    index.push_back(fresh());
    const char* const local = axis == last ? " + to_u64(column)" : axis + 1 == last ? " + to_u64(row)" : "";
    line("const u64 {} = to_u64(to_i64({})){};", index[axis], own(op, 1 + axis), local);
    if (axis != last) inside += fmt::format("{} < {} && ", index[axis], view.extents[axis]);
    offset += fmt::format("{}{} * {}", axis == 0 ? "" : " + ", index[axis], view.strides[axis]);
  }
  const std::string &x = index[last], &extent = view.extents[last], &stride = view.strides[last];
  line("const u64 from = {};\n{}* const to = ({}*)(L + ({})) + row * {}u + column;", offset, kind, kind, base,
       feed_pitch(feed) * 2 / piece.bytes());
  const bool widens = tile.dtype != piece.held;
  if (!widens)
    line(
        "if ({0}{1} < {2} && {1} + {3}u < {2} && {4} == to_u64(1) && ((u64)({5} + from) & 15) == 0) tc_copy16(to, {5} "
        "+ from);",
        inside, x, extent, chunk - 1, stride, view.pointer);
  std::string number =
      fmt::format("({}{} + n < {} ? load_{}({}, from + n * {}) : {})", inside, x, extent, info(tile.dtype).name,
                  view.pointer, stride, literal(tile.dtype, static_cast<std::uint64_t>(op.integer("pad"))));
  if (widens) number = cast(tile.dtype, piece.held, number, Rounding::nearest_even, false);
  line("{}for (u32 n = 0u; n < {}u; ++n) to[n] = ({}){};\n}}", widens ? "" : "else ", chunk, kind, number);
}

// `turned`: its columns become rows.
void SimtEmitter::put_factor(ValueId value, const LocalRange& range, const Factor& factor, const Piece& piece,
                             bool turned) {
  const Type& tile = type(value);
  const std::int64_t columns = tile.dims[1], pitch = factor.pitch * 2 / piece.bytes();
  open_for(value);
  settle(range);
  std::string text = own(value);
  if (piece.held != tile.dtype) text = cast(tile.dtype, piece.held, text, Rounding::nearest_even, false);
  const std::string row = fmt::format("e / {}u", columns), column = fmt::format("e % {}u", columns);
  const char* const kind = local_type(piece);
  line("(({}*)(L + {}u))[{} * {}u + {}] = ({}){};", kind, range.begin, turned ? column : row, pitch,
       turned ? row : column, kind, text);
  touch(range);
  used(value);
}

SimtEmitter::Factor SimtEmitter::take_factor(const Op& op, std::size_t side) {
  if (const auto kept = kept_.find({&op, side}); kept != kept_.end()) {
    Factor factor = kept->second;
    factor.own.reset();
    return factor;
  }
  const ValueId value = op.operands[side];
  const Piece piece = piece_of(op);
  Factor factor;
  const Feed* const feed = feed_of(op, side);
  if (feed == nullptr) {
    const Type& tile = type(value);
    const bool turned = side == 1 && piece.bytes() == 1;
    factor.along = side == 0 || turned;
    factor.pitch = pitch_of(tile.dims[turned ? 0 : 1], piece, factor.along);
    factor.own = allocate(op, static_cast<std::uint64_t>(tile.dims[turned ? 1 : 0] * factor.pitch / 2));
    factor.base = fmt::format("{}u", factor.own->begin);
    put_factor(value, *factor.own, factor, piece, turned);
    return factor;
  }
  factor.pitch = feed_pitch(*feed);
  factor.along = is_along(*feed);
  factor.base = feed->base;
  if (!factor.base.empty()) return factor;  // it was copied ahead
  factor.own = allocate(op, feed_words(*feed));
  factor.base = fmt::format("{}u", factor.own->begin);
  close();
  settle(*factor.own);
  factor.waits = true;
  emit_copy(*feed, factor.base);
  touch(*factor.own);
  return factor;
}

// ---- the product -------------------------------------------------------------------------------------------------

void SimtEmitter::emit_tensor_dot(const Op& op, const Tiling& tiling) {
  needs_.tensor = true;
  needs_.tensor_f8 |= piece_of(op).bytes() == 1 && is_float(piece_of(op).held);
  const Factor a = take_factor(op, 0), b = take_factor(op, 1);
  close();
  if (a.waits || b.waits) line("tc_wait();");
  if (a.own || b.own) barrier();
  const std::string sums = start_sums(op, op.operands[2]);
  emit_pieces(op, tiling, a, b, sums);
  for (const Factor* const factor : {&a, &b}) {
    if (!factor->own) continue;
    touch(*factor->own);
    release(*factor->own);
  }
}

// A word of a factor whose rows lie across the depth, as text of places in elements.
std::string SimtEmitter::read_piece(const Factor& factor, const std::string& depth, const std::string& across) const {
  return fmt::format("L[{} + ({}) * {}u + {}]", factor.base, depth, factor.pitch / 2, across);
}

// Of every 16 halves along the depth a warp reads its rows of a and its columns of b once. What a lane names in tc_load is a
// row of one of the 8 x 8 matrices that the instruction moves: lanes 0 to 7 those of the first, and so on.
void SimtEmitter::emit_pieces(const Op& op, const Tiling& tiling, const Factor& a, const Factor& b,
                              const std::string& sums) {
  const Piece piece = piece_of(op);
  const bool words = piece.bytes() == 4;
  const std::int64_t depth = operand_type(op, 0).dims[1] / piece.depth();
  const std::int64_t pairs = tiling.own_columns / 2, below = 4 * tiling.own_columns;
  const std::string row = fmt::format("(t / 32u / {}u * {}u + i) * 16u", tiling.grid_columns, tiling.own_rows);
  const auto column = [&](const std::string& n) {
    return fmt::format("(t / 32u % {}u * {}u + {}) * 8u", tiling.grid_columns, tiling.own_columns, n);
  };
  const std::string low = "t % 16u", high = "t % 32u / 16u * 8u", eight = "t % 8u", second = "t / 8u % 2u * 8u";
  const std::string multiply = fmt::format("tc_mma_{}", piece.name);

  line("UNROLL({0}) for (u32 k = 0u; k < {0}u; ++k) {{\nu32 x[{1}][4];", depth, tiling.own_rows);
  const auto round_words = [&](const char* name, int count) {
    if (words) line("UNROLL({0}) for (u32 j = 0u; j < {0}u; ++j) {1}[j] = tc_tf32({1}[j]);", count, name);
  };
  line("UNROLL({0}) for (u32 i = 0u; i < {0}u; ++i) {{", tiling.own_rows);
  if (words && !a.along) {
    line("UNROLL(4) for (u32 j = 0u; j < 4u; ++j) x[i][j] = {};",
         read_piece(a, "k * 8u + t % 4u + j / 2u * 4u", fmt::format("{} + t % 32u / 4u + j % 2u * 8u", row)));
  } else {
    const std::string at = a.along
                               ? fmt::format("({} + {}) * {}u + k * 16u + {}", row, low, a.pitch, high)
                               : fmt::format("(k * 16u + {} + {}) * {}u + {} + {}", high, eight, a.pitch, row, second);
    line("tc_load4{}(x[i], {} + {});", a.along ? "" : "_trans", halves(a.base), at);
  }
  round_words("x[i]", 4);
  line("}");
  const auto load_b = [&](int count, const std::string& n) {
    line("u32 y[{}];", count);
    if (words && !b.along) {
      line("UNROLL({0}) for (u32 j = 0u; j < {0}u; ++j) y[j] = {1};", count,
           read_piece(b, "k * 8u + t % 4u + j % 2u * 4u", fmt::format("{} + t % 32u / 4u + j / 2u * 8u", column(n))));
    } else {
      // Without a second piece the lanes beyond name the rows of the first again.
      const std::string beside = count == 4 ? " + " + high : "";
      const std::string at =
          b.along ? fmt::format("({} + {}{}) * {}u + k * 16u + {}", column(n), eight, beside, b.pitch, second)
                  : fmt::format("(k * 16u + {}) * {}u + {}{}", low, b.pitch, column(n), beside);
      line("tc_load{}{}(y, {} + {});", count, b.along ? "" : "_trans", halves(b.base), at);
    }
    round_words("y", count);
  };
  const auto rows = [&](const std::string& n, int from) {
    line("UNROLL({0}) for (u32 i = 0u; i < {0}u; ++i) {1}({2} + i * {3}u + ({4}) * 4u, x[i], y + {5});",
         tiling.own_rows, multiply, sums, below, n, from);
  };
  if (pairs > 0) {
    line("UNROLL({0}) for (u32 n = 0u; n < {0}u; ++n) {{", pairs);
    load_b(4, "n * 2u");
    rows("n * 2u", 0);
    rows("n * 2u + 1u", 2);
    line("}");
  }
  if (tiling.own_columns % 2 != 0) {
    line("{");
    load_b(2, fmt::format("{}u", tiling.own_columns - 1));
    rows(fmt::format("{}u", tiling.own_columns - 1), 0);
    line("}");
  }
  line("}");
}

// ---- factors that a loop does not change ----------------------------------------------------------------------------

std::vector<SimtEmitter::Side> SimtEmitter::keep_factors(const Op& loop) {
  std::vector<Side> kept;
  if (!plan_.roomy) return kept;
  const Block& block = loop.regions[0];
  std::set<ValueId> changing;
  for (const ValueId argument : block.arguments) changing.insert(root(argument));
  for (const Op& op : block.ops)
    for (const ValueId result : op.results) changing.insert(root(result));
  for (const Op& op : block.ops) {
    const Tiling* const tiling = op.code == OpCode::dot ? tiling_of(op) : nullptr;
    if (tiling == nullptr) continue;
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      if (changing.count(root(op.operands[side])) != 0 || feed_of(op, side) != nullptr) continue;
      Factor factor;
      if (tiling->tensor) {
        factor = take_factor(op, side);
      } else {
        factor.own = take_range(op, side);
      }
      kept.emplace_back(&op, side);
      kept_[kept.back()] = factor;
    }
  }
  if (!kept.empty()) barrier();
  return kept;
}

void SimtEmitter::release_factors(const std::vector<Side>& kept) {
  for (const Side& side : kept) {
    release(*kept_.at(side).own);
    kept_.erase(side);
  }
}

// ---- copies ahead ------------------------------------------------------------------------------------------------

// The feeds of products that stand in the loop itself, and whose offsets follow from its index and from what lies outside.
std::vector<SimtEmitter::Feed*> SimtEmitter::feeds_ahead(const Op& loop, Slice& slice) {
  std::vector<Feed*> found;
  if (plan_.stages < 2) return found;
  const Block& block = loop.regions[0];
  std::map<ValueId, const Op*> made;
  for (const Op& op : block.ops)
    for (const ValueId result : op.results) made[result] = &op;
  std::set<const Op*> wanted;
  const auto follows = [&](ValueId value, auto&& self) -> bool {
    value = root(value);
    const auto& carried = block.arguments;
    if (std::find(carried.begin() + 1, carried.end(), value) != carried.end()) return false;
    const auto maker = made.find(value);
    if (maker == made.end()) return true;  // the index, or from outside
    const Op& op = *maker->second;
    if (info(op.code).effect != Effect::none || !op.regions.empty() || !is_uniform(value)) return false;
    if (!std::all_of(op.operands.begin(), op.operands.end(), [&](ValueId operand) { return self(operand, self); }))
      return false;
    wanted.insert(&op);
    return true;
  };
  for (Feed& feed : feeds_) {
    const bool here = std::any_of(block.ops.begin(), block.ops.end(), [&](const Op& op) { return &op == feed.dot; });
    const auto& operands = feed.load->operands;
    // A view that the loop makes may have an extent of its own each time.
    if (!here || made.count(operands[0]) != 0) continue;
    if (std::all_of(operands.begin() + 1, operands.end(), [&](ValueId value) { return follows(value, follows); }))
      found.push_back(&feed);
  }
  for (const Op& op : block.ops)
    if (wanted.count(&op) != 0) slice.push_back(&op);
  return found;
}

// Room for all stages, and the copies of the first rounds. Each round is a group of copies, also one that has none, so that
// the last groups are always those of the rounds to come.
void SimtEmitter::start_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice,
                              const LoopText& text) {
  needs_.tensor = true;
  close();
  for (Feed* const feed : feeds) {
    feed->range = allocate(loop, static_cast<std::uint64_t>(plan_.stages) * feed_words(*feed));
    settle(feed->range);
  }
  for (int stage = 0; stage + 1 < plan_.stages; ++stage) {
    line("if ({} > to_{}({}))", text.rounds, text.wide, stage);
    emit_ahead(loop, feeds, slice, stage == 0 ? text.low : text.index_at(fmt::format("to_{}({})", text.wide, stage)),
               fmt::format("{}u", stage));
    line("tc_commit();");
  }
}

// The copies of this round have come, and nobody reads those of the last one any more.
void SimtEmitter::go_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice, const LoopText& text) {
  const auto stage_of = [&](const std::string& round) { return fmt::format("to_u32({} % {}u)", round, plan_.stages); };
  const std::string next = fmt::format("({} + to_{}({}))", text.round, text.wide, plan_.stages - 1);
  line("tc_wait_but<{}>();\nLOCAL_BARRIER;\nif ({} < {})", plan_.stages - 2, next, text.rounds);
  emit_ahead(loop, feeds, slice, text.index_at(next), stage_of(next));
  line("tc_commit();");
  for (Feed* const feed : feeds) feed->base = stage_base(*feed, stage_of(text.round));
}

std::string SimtEmitter::stage_base(const Feed& feed, const std::string& stage) const {
  return fmt::format("{}u + {} * {}u", feed.range.begin, stage, feed_words(feed));
}

// Starts the copies of one round: its index, and which of the stages it goes to, as text.
void SimtEmitter::emit_ahead(const Op& loop, const std::vector<Feed*>& feeds, const Slice& slice,
                             const std::string& index, const std::string& stage) {
  const ValueId number = loop.regions[0].arguments[0];
  const std::vector<Value> before = values_;
  const std::string variable = fresh();
  line("{{\nconst {} {} = {};", register_type(type(number).dtype), variable, index);
  values_[number].kind = Value::Kind::uniform;
  values_[number].name = variable;
  for (const Op* const op : slice) emit_op(*op);
  for (const Feed* const feed : feeds) emit_copy(*feed, stage_base(*feed, stage));
  close();
  line("}");
  values_ = before;
}

}  // namespace flagos::compiler
