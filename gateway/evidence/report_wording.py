"""The words of an evidence report, English and Indonesian. Decides sentences; leaves what is told to `account.py`."""

from collections.abc import Mapping
from typing import Final

from gateway.review.words import Words

WORDS: Final[Mapping[str, Words]] = {
    "title": Words("Report on the evidence of one transfer", "Laporan bukti atas satu kiriman"),
    "verified": Words(
        "Verified: no check failed. What was not checked is named below.",
        "Terverifikasi: tidak ada pemeriksaan yang gagal. Yang tidak diperiksa disebutkan di bawah.",
    ),
    "failed": Words(
        "NOT verified: at least one check failed. Do not rely on this evidence before the reason is known.",
        "TIDAK terverifikasi: sedikitnya satu pemeriksaan gagal. Jangan bersandar pada bukti ini sebelum sebabnya diketahui.",
    ),
    "about": Words("About this report", "Tentang laporan ini"),
    "by-gateway": Words(
        "The gateway wrote this report when it put the evidence together.",
        "Gerbang menulis laporan ini ketika bukti disusun.",
    ),
    "by-verifier": Words(
        "A verifier wrote this report after it had checked the evidence itself.",
        "Pemeriksa menulis laporan ini setelah memeriksa sendiri bukti tersebut.",
    ),
    "no-proof": Words(
        "This page proves nothing by itself. Only a report that your own verifier writes afresh, from the bundle and with keys"
        " that you trusted before, counts: sinergi evidence verify BUNDLE --report DIRECTORY.",
        "Halaman ini sendiri tidak membuktikan apa pun. Yang berlaku hanyalah laporan baru yang ditulis pemeriksa Anda sendiri,"
        " dari berkas bukti dan dengan kunci yang sudah Anda percayai: sinergi evidence verify BUNDLE --report DIRECTORY.",
    ),
    "hidden": Words(
        "The content of the message is not shown here. Characters that cannot be seen or that turn the direction of writing are"
        " shown as [U+…].",
        "Isi pesan tidak ditampilkan di sini. Karakter yang tidak terlihat atau yang membalik arah tulisan ditampilkan"
        " sebagai [U+…].",
    ),
    "what": Words("What happened", "Apa yang terjadi"),
    "unproven": Words(
        "No ledger entry was proved, so nothing is said about the transfer.",
        "Tidak ada catatan buku besar yang terbukti, maka tidak ada yang dikatakan tentang kiriman.",
    ),
    "unnamed": Words(
        "Titles are missing where the document that has them was not proved.",
        "Judul tidak ditampilkan bila dokumen yang memuatnya tidak terbukti.",
    ),
    "transfer": Words("Transfer", "Kiriman"),
    "decision": Words("Decision of the gateway", "Keputusan gerbang"),
    "accepted": Words("accepted for the recipient", "diterima untuk diteruskan kepada penerima"),
    "refused": Words("refused, and not given to the recipient", "ditolak, dan tidak diberikan kepada penerima"),
    "sender": Words("Sender", "Pengirim"),
    "recipient": Words("Recipient", "Penerima"),
    "received": Words("Received, by the gateway's clock", "Diterima, menurut jam gerbang"),
    "sent-at": Words("Signed, by the sender's own clock", "Ditandatangani, menurut jam pengirim sendiri"),
    "until": Words("To be delivered until, as the sender set it", "Batas penyampaian menurut pengirim"),
    "legal-basis": Words("Legal basis, as the sender stated it", "Dasar hukum menurut pengirim"),
    "type": Words("Kind of message", "Jenis pesan"),
    "purpose": Words("Purpose, as the sender stated it", "Tujuan menurut pengirim"),
    "agreement": Words("Agreement", "Perjanjian"),
    "version": Words("version", "versi"),
    "clause": Words("Clause", "Klausul"),
    "rule": Words("Rule", "Aturan"),
    "reasons": Words("Reasons of the refusal", "Alasan penolakan"),
    "signed-for": Words("The recipient signed", "Penerima menandatangani"),
    "delivered": Words("delivered", "telah diterima"),
    "processed": Words("processed", "telah diproses"),
    "rejected": Words("rejected", "ditolak"),
    "none": Words("none", "tidak ada"),
    "withheld": Words("What was withheld, and why", "Apa yang ditahan, dan mengapa"),
    "nothing-withheld": Words("Nothing was withheld.", "Tidak ada yang ditahan."),
    "nothing-released": Words(
        "The message was refused: nothing of it was released.", "Pesan ditolak: tidak ada bagiannya yang dibuka."
    ),
    "always": Words("The rule always withholds it.", "Aturan selalu menahannya."),
    "unless": Words(
        "The rule withholds it unless a situation that the agreement names holds.",
        "Aturan menahannya kecuali bila keadaan yang disebut perjanjian terpenuhi.",
    ),
    "other": Words(
        "The ledger names it as withheld; no proved rule is quoted for it.",
        "Buku besar menyebutnya ditahan; tidak ada aturan terbukti yang dapat dikutip.",
    ),
    "checks": Words("What each check proved", "Apa yang dibuktikan tiap pemeriksaan"),
    "check": Words("No.", "No."),
    "result": Words("Result", "Hasil"),
    "meaning": Words("In plain words", "Dengan kata sederhana"),
    "ok": Words("passed", "lolos"),
    "bad": Words("FAILED", "GAGAL"),
    "open": Words("not checked", "tidak diperiksa"),
    "bad-means": Words("This could not be proved: ", "Ini tidak dapat dibuktikan: "),
    "open-means": Words("Nothing is proved or disproved: ", "Tidak ada yang terbukti atau terbantah: "),
    "detail": Words("Technical finding", "Temuan teknis"),
    "page": Words("page {page} of {pages}", "halaman {page} dari {pages}"),
    "limits": Words("What this does not show", "Apa yang tidak ditunjukkan"),
    "trust": Words("Which public keys were trusted", "Kunci publik yang dipercaya"),
    "trust-says": Words(
        "Everything above rests on these keys, which whoever checked had beforehand. If one is not the right key, nothing holds.",
        "Semua di atas bersandar pada kunci ini, yang sudah dipegang pemeriksa. Bila satu kunci keliru, semuanya gugur.",
    ),
    "gateway-keys": Words("Gateway, by key id", "Gerbang, menurut pengenal kunci"),
    "ledger-keys": Words("Ledgers", "Buku besar"),
    "witness-keys": Words("Witnesses", "Saksi"),
    "quorum": Words("{count} of {known} witnesses were asked for", "{count} dari {known} saksi disyaratkan"),
    "authority": Words("Timestamp authority", "Otoritas stempel waktu"),
    "authority-yes": Words("roots were given", "sertifikat akar diberikan"),
}

CHECKS: Final[Mapping[int, Words]] = {
    1: Words(
        "No file was altered, left out or added since the gateway put the evidence together.",
        "Tidak ada berkas yang diubah, dihilangkan atau ditambahkan sejak gerbang menyusun bukti.",
    ),
    2: Words(
        "Every record used here stands in a ledger that the ledger's key signed.",
        "Setiap catatan yang dipakai di sini ada dalam buku besar yang ditandatangani kuncinya.",
    ),
    3: Words(
        "The sender's key signed exactly this message, and nothing in it is hidden from the checker.",
        "Kunci pengirim menandatangani tepat pesan ini, dan tidak ada bagiannya yang tersembunyi dari pemeriksa.",
    ),
    4: Words(
        "That key belonged to the sender and was valid when the gateway received the message.",
        "Kunci itu milik pengirim dan berlaku ketika gerbang menerima pesan.",
    ),
    5: Words(
        "The record in the ledger is about this very message and no other.",
        "Catatan dalam buku besar adalah tentang pesan ini dan bukan pesan lain.",
    ),
    6: Words(
        "The receipt that the gateway gave the sender says the same as the ledger.",
        "Tanda terima dari gerbang kepada pengirim sama dengan isi buku besar.",
    ),
    7: Words(
        "The enclosed description of this kind of message is the one that was published.",
        "Uraian jenis pesan yang dilampirkan adalah yang telah diterbitkan.",
    ),
    8: Words(
        "All parties had signed the enclosed agreement, it was in force, and it has the rule that the ledger names.",
        "Semua pihak telah menandatangani perjanjian terlampir; perjanjian itu berlaku dan memuat aturan dalam buku besar.",
    ),
    9: Words(
        "What was released is part of the message, and nothing that was to be withheld is in it.",
        "Yang dibuka adalah bagian dari pesan, dan tidak memuat apa pun yang harus ditahan.",
    ),
    10: Words(
        "The recipient signed for what it got, and each signature is in the ledger.",
        "Penerima menandatangani apa yang diterimanya, dan setiap tanda tangan ada dalam buku besar.",
    ),
    11: Words(
        "The clock of an outside authority saw the ledger with this record in it.",
        "Jam otoritas luar telah melihat buku besar yang memuat catatan ini.",
    ),
}

LIMITS: Final = (
    Words(
        "Whether the content of the message is true. The evidence shows who signed it, not that it is right.",
        "Apakah isi pesan benar. Bukti menunjukkan siapa yang menandatangani, bukan bahwa isinya benar.",
    ),
    Words(
        "Which person used a key. A key speaks for an agency.",
        "Orang mana yang memakai kunci. Kunci mewakili instansi.",
    ),
    Words(
        "Whether a key was revoked after the evidence was put together. Ask the ledger.",
        "Apakah kunci dicabut setelah bukti disusun. Tanyakan kepada buku besar.",
    ),
    Words(
        "Whether the description of the message and the rule allow this content. Judge the enclosed message by the enclosed"
        " documents.",
        "Apakah uraian pesan dan aturan mengizinkan isi ini. Nilailah pesan terlampir dengan dokumen terlampir.",
    ),
    Words(
        "Whether a clock was right. Times are those of the gateway's or the sender's own clock, except in check 11.",
        "Apakah suatu jam benar. Waktu menurut jam gerbang atau jam pengirim sendiri, kecuali dalam pemeriksaan 11.",
    ),
)

# As the code list `purpose` has them: a verifier without the catalogue still says them in words.
PURPOSES: Final[Mapping[str, Words]] = {
    "PREVENTION": Words("Prevention", "Pencegahan"),
    "EARLY_WARNING": Words("Early warning", "Peringatan dini"),
    "INVESTIGATION": Words("Investigation", "Penyidikan"),
    "BORDER_CONTROL": Words("Border control", "Pengawasan perlintasan"),
    "VICTIM_PROTECTION": Words("Victim protection", "Pelindungan korban"),
    "SUPERVISION": Words("Supervision of investigators", "Pengawasan dan pembinaan penyidik"),
    "CAPACITY_BUILDING": Words("Capacity building", "Peningkatan kapasitas"),
}
