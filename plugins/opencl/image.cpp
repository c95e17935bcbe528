#include "plugins/opencl/image.hpp"

#include <cstring>

#include "base/error.hpp"

namespace flagos::opencl {
namespace {

constexpr char magic[8] = {'F', 'L', 'A', 'G', 'O', 'S', 'C', 'L'};
constexpr std::uint32_t version = 1;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t body_bytes;
  std::uint64_t check_sum;  // of the body
};

std::uint64_t check_sum(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes)
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3u;
  return hash;
}

class Writer {
 public:
  void number(std::uint64_t value) { append(&value, sizeof(value)); }
  void bytes(const void* data, std::size_t size) {
    number(size);
    append(data, size);
  }
  void text(const std::string& value) { bytes(value.data(), value.size()); }
  void append(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  std::vector<std::byte>& get() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }
  std::span<const std::byte> bytes() { return take(number()); }
  std::string text() {
    const auto value = bytes();
    return {reinterpret_cast<const char*>(value.data()), value.size()};
  }
  // A count of things of at least 8 bytes each.
  std::uint64_t count() {
    const std::uint64_t value = number();
    if (value > bytes_.size() / 8) cut();
    return value;
  }

 private:
  [[noreturn]] static void cut() {
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "an opencl-binary image whose parts do not fit in it");
  }
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > bytes_.size()) cut();
    const auto part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }
  std::span<const std::byte> bytes_;
};

void write_signature(Writer& writer, const Signature& signature) {
  writer.text(signature.name);
  writer.text(signature.unusable);
  for (const std::uint32_t size : signature.fixed_block) writer.number(size);
  writer.number(signature.arguments.size());
  for (const Argument& argument : signature.arguments) {
    writer.number(static_cast<std::uint64_t>(argument.kind));
    writer.number(argument.is_constant);
    writer.number(argument.dtype);
    writer.number(argument.size_bytes);
    writer.number(argument.alignment_bytes);
    writer.text(argument.type);
    writer.text(argument.name);
  }
}

Signature read_signature(Reader& reader) {
  Signature signature;
  signature.name = reader.text();
  signature.unusable = reader.text();
  for (std::uint32_t& size : signature.fixed_block)
    size = static_cast<std::uint32_t>(reader.number());
  for (std::uint64_t left = reader.count(); left != 0; --left) {
    Argument& argument = signature.arguments.emplace_back();
    argument.kind = static_cast<ArgumentKind>(reader.number());
    argument.is_constant = reader.number() != 0;
    argument.dtype = static_cast<flagos_dtype_t>(reader.number());
    argument.size_bytes = static_cast<std::uint32_t>(reader.number());
    argument.alignment_bytes = static_cast<std::uint32_t>(reader.number());
    argument.type = reader.text();
    argument.name = reader.text();
    if (argument.kind > ArgumentKind::failure || argument.alignment_bytes == 0)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                  "an opencl-binary image with a parameter that is none");
  }
  lay_out(signature);
  return signature;
}

}  // namespace

std::vector<std::byte> write_image(const Image& image) {
  Writer body;
  body.text(image.device);
  body.number(image.is_wrapped);
  body.number(image.signatures.size());
  for (const Signature& signature : image.signatures) write_signature(body, signature);
  body.bytes(image.binary.data(), image.binary.size());
  Header header{};
  std::memcpy(header.magic, magic, sizeof(magic));
  header.version = version;
  header.header_bytes = sizeof(header);
  header.body_bytes = body.get().size();
  header.check_sum = check_sum(body.get());
  Writer whole;
  whole.append(&header, sizeof(header));
  whole.append(body.get().data(), body.get().size());
  return std::move(whole.get());
}

Image read_image(std::span<const std::byte> bytes) {
  Header header{};
  if (bytes.size() < sizeof(header))
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "{} bytes are too few for an opencl-binary image",
                bytes.size());
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, magic, sizeof(magic)) != 0)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "an opencl-binary image begins with FLAGOSCL; these bytes do not");
  if (header.version != version || header.header_bytes != sizeof(header))
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "an opencl-binary image of version {}; this plugin reads {}", header.version,
                version);
  const auto body = bytes.subspan(sizeof(header));
  if (header.body_bytes != body.size() || header.check_sum != check_sum(body))
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "an opencl-binary image that is cut or changed: {} bytes behind the header, which "
                "says {}, or a wrong check sum",
                body.size(), header.body_bytes);
  Reader reader(body);
  Image image;
  image.device = reader.text();
  image.is_wrapped = reader.number() != 0;
  for (std::uint64_t left = reader.count(); left != 0; --left)
    image.signatures.push_back(read_signature(reader));
  const auto binary = reader.bytes();
  image.binary.assign(binary.begin(), binary.end());
  return image;
}

}  // namespace flagos::opencl
