#include "core/tile_binary.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.hpp"
#include "core/digest.hpp"

namespace flagos::core {

namespace {

// In front: magic, version of the form, size of the whole. Behind: SHA-256 of all before.
constexpr char magic[8] = {'F', 'L', 'T', 'I', 'L', 'E', 'B', '\n'};
// Since form 2 with the messages of assertions, since form 3 with names in the image.
constexpr std::uint32_t form_version = 3;
constexpr std::size_t header_bytes = sizeof(magic) + sizeof(std::uint32_t) + sizeof(std::uint64_t);
constexpr std::uint32_t most_items = 1u << 20;
static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

class Writer {
 public:
  template <typename T>
  void number(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void bytes(std::span<const std::byte> bytes) {
    number<std::uint64_t>(bytes.size());
    raw(bytes);
  }
  void text(const std::string& text) { bytes(std::as_bytes(std::span(text))); }
  std::vector<std::byte>& out() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }
  std::span<const std::byte> bytes() { return take(number<std::uint64_t>()); }
  std::string text() {
    const std::span<const std::byte> found = bytes();
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }
  std::uint32_t count() {
    const auto count = number<std::uint32_t>();
    if (count > most_items) refuse();
    return count;
  }
  bool at_end() const { return rest_.empty(); }
  [[noreturn]] static void refuse() {
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "a binary of portable kernels whose parts do not fit together");
  }

 private:
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size()) refuse();
    const std::span<const std::byte> taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::span<const std::byte> rest_;
};

void write_record(Writer& writer, const TileRecord& record) {
  writer.text(record.name);
  writer.number(record.threads);
  writer.number(record.shared_bytes);
  writer.number(record.scratch_bytes);
  writer.number<std::uint32_t>(record.fails ? 1 : 0);
  writer.number(record.argument_bytes);
  writer.number<std::uint32_t>(static_cast<std::uint32_t>(record.parameters.size()));
  for (const flagos_parameter_t& parameter : record.parameters) writer.number(parameter);
  writer.number<std::uint32_t>(static_cast<std::uint32_t>(record.assertions.size()));
  for (const TileAssertion& assertion : record.assertions) {
    writer.number(assertion.number);
    writer.text(assertion.message);
  }
  writer.text(record.symbol);
}

TileRecord read_record(Reader& reader, std::uint32_t form) {
  TileRecord record;
  record.name = reader.text();
  record.threads = reader.number<std::uint32_t>();
  record.shared_bytes = reader.number<std::uint32_t>();
  record.scratch_bytes = reader.number<std::uint64_t>();
  record.fails = reader.number<std::uint32_t>() != 0;
  record.argument_bytes = reader.number<std::uint32_t>();
  const std::uint32_t count = reader.count();
  for (std::uint32_t i = 0; i < count; ++i) record.parameters.push_back(reader.number<flagos_parameter_t>());
  const std::uint32_t assertions = form < 2 ? 0 : reader.count();
  for (std::uint32_t i = 0; i < assertions; ++i) {
    const auto number = reader.number<std::uint32_t>();
    record.assertions.push_back({number, reader.text()});
  }
  if (form >= 3) record.symbol = reader.text();
  return record;
}

struct Body {
  std::uint32_t form;
  std::span<const std::byte> bytes;
};

Body check(std::span<const std::byte> bytes) {
  const auto refuse = [](const char* why) {
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "no binary of portable kernels: {}", why);
  };
  if (bytes.size() < header_bytes + sizeof(Digest)) refuse("it is too short");
  if (std::memcmp(bytes.data(), magic, sizeof(magic)) != 0) refuse("it does not begin as one");
  Reader header(bytes.subspan(sizeof(magic)));
  const auto version = header.number<std::uint32_t>();
  if (version == 0 || version > form_version)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION,
                "a binary of portable kernels of form {}; this flagos reads forms up to {}", version, form_version);
  if (header.number<std::uint64_t>() != bytes.size()) refuse("it is cut, or something follows it");
  const std::span<const std::byte> body = bytes.first(bytes.size() - sizeof(Digest));
  const Digest digest = sha256(body);
  if (std::memcmp(digest.data(), bytes.data() + body.size(), digest.size()) != 0) refuse("its check sum does not hold");
  return {version, body.subspan(header_bytes)};
}

}  // namespace

const TileRecord* TileBinary::find(const std::string& name) const {
  const auto found =
      std::find_if(kernels.begin(), kernels.end(), [&](const TileRecord& record) { return record.name == name; });
  return found == kernels.end() ? nullptr : &*found;
}

std::vector<std::byte> write_tile_binary(const TileBinary& binary) {
  Writer writer;
  writer.raw(std::as_bytes(std::span(magic)));
  writer.number(form_version);
  writer.number<std::uint64_t>(0);
  for (const std::string* text :
       {&binary.module, &binary.plugin, &binary.target, &binary.format, &binary.maker, &binary.log})
    writer.text(*text);
  writer.bytes(binary.image);
  writer.number(static_cast<std::uint32_t>(binary.kernels.size()));
  for (const TileRecord& record : binary.kernels) write_record(writer, record);
  std::vector<std::byte>& bytes = writer.out();
  const std::uint64_t size = bytes.size() + sizeof(Digest);
  std::memcpy(bytes.data() + header_bytes - sizeof(size), &size, sizeof(size));
  const Digest digest = sha256(bytes);
  writer.raw(std::as_bytes(std::span(digest)));
  return std::move(bytes);
}

TileBinary read_tile_binary(std::span<const std::byte> bytes) {
  const Body body = check(bytes);
  Reader reader(body.bytes);
  TileBinary binary;
  for (std::string* text : {&binary.module, &binary.plugin, &binary.target, &binary.format, &binary.maker, &binary.log})
    *text = reader.text();
  const std::span<const std::byte> image = reader.bytes();
  binary.image.assign(image.begin(), image.end());
  const std::uint32_t count = reader.count();
  for (std::uint32_t i = 0; i < count; ++i) binary.kernels.push_back(read_record(reader, body.form));
  if (!reader.at_end()) Reader::refuse();
  return binary;
}

}  // namespace flagos::core
