"""Every method of the Bot API and what it answers: data, held equal to python-telegram-bot's by a test."""

from enum import StrEnum


class Result(StrEnum):
    """What a method answers, in the words of Telegram's documentation."""

    TRUE = "True"
    SENT_GUEST_MESSAGE = "SentGuestMessage"
    SENT_WEB_APP_MESSAGE = "SentWebAppMessage"
    MESSAGE_ID = "MessageId"
    MESSAGE_IDS = "Array of MessageId"
    CHAT_INVITE_LINK = "ChatInviteLink"
    FORUM_TOPIC = "ForumTopic"
    TEXT = "String"
    MESSAGE_OR_TRUE = "Message or True"
    MESSAGE = "Message"
    STORY = "Story"
    GIFTS = "Gifts"
    OWNED_GIFTS = "OwnedGifts"
    STAR_AMOUNT = "StarAmount"
    BUSINESS_CONNECTION = "BusinessConnection"
    CHAT_FULL_INFO = "ChatFullInfo"
    CHAT_MEMBERS = "Array of ChatMember"
    CHAT_MEMBER = "ChatMember"
    NUMBER = "Integer"
    MENU_BUTTON = "MenuButton"
    STICKERS = "Array of Sticker"
    FILE = "File"
    GAME_HIGH_SCORES = "Array of GameHighScore"
    BOT_ACCESS_SETTINGS = "BotAccessSettings"
    USER = "User"
    BOT_COMMANDS = "Array of BotCommand"
    CHAT_ADMINISTRATOR_RIGHTS = "ChatAdministratorRights"
    BOT_DESCRIPTION = "BotDescription"
    BOT_NAME = "BotName"
    BOT_SHORT_DESCRIPTION = "BotShortDescription"
    STAR_TRANSACTIONS = "StarTransactions"
    STICKER_SET = "StickerSet"
    UPDATES = "Array of Update"
    USER_CHAT_BOOSTS = "UserChatBoosts"
    MESSAGES = "Array of Message"
    USER_PROFILE_AUDIOS = "UserProfileAudios"
    USER_PROFILE_PHOTOS = "UserProfilePhotos"
    WEBHOOK_INFO = "WebhookInfo"
    PREPARED_INLINE_MESSAGE = "PreparedInlineMessage"
    PREPARED_KEYBOARD_BUTTON = "PreparedKeyboardButton"
    POLL = "Poll"


_BY_RESULT = {
    Result.TRUE: """
        addStickerToSet answerCallbackQuery answerInlineQuery answerPreCheckoutQuery answerShippingQuery
        approveChatJoinRequest approveSuggestedPost banChatMember banChatSenderChat close closeForumTopic
        closeGeneralForumTopic convertGiftToStars createNewStickerSet declineChatJoinRequest
        declineSuggestedPost deleteAllMessageReactions deleteBusinessMessages deleteChatPhoto
        deleteChatStickerSet deleteForumTopic deleteMessage deleteMessageReaction deleteMessages
        deleteMyCommands deleteStickerFromSet deleteStickerSet deleteStory deleteWebhook editForumTopic
        editGeneralForumTopic editUserStarSubscription giftPremiumSubscription hideGeneralForumTopic
        leaveChat logOut pinChatMessage promoteChatMember readBusinessMessage refundStarPayment
        removeBusinessAccountProfilePhoto removeChatVerification removeMyProfilePhoto removeUserVerification
        reopenForumTopic reopenGeneralForumTopic replaceStickerInSet restrictChatMember sendChatAction
        sendGift sendMessageDraft setBusinessAccountBio setBusinessAccountGiftSettings
        setBusinessAccountName setBusinessAccountProfilePhoto setBusinessAccountUsername
        setChatAdministratorCustomTitle setChatDescription setChatMemberTag setChatMenuButton
        setChatPermissions setChatPhoto setChatStickerSet setChatTitle setCustomEmojiStickerSetThumbnail
        setManagedBotAccessSettings setMessageReaction setMyCommands setMyDefaultAdministratorRights
        setMyDescription setMyName setMyProfilePhoto setMyShortDescription setPassportDataErrors
        setStickerEmojiList setStickerKeywords setStickerMaskPosition setStickerPositionInSet
        setStickerSetThumbnail setStickerSetTitle setUserEmojiStatus setWebhook transferBusinessAccountStars
        transferGift unbanChatMember unbanChatSenderChat unhideGeneralForumTopic unpinAllChatMessages
        unpinAllForumTopicMessages unpinAllGeneralForumTopicMessages unpinChatMessage upgradeGift verifyChat
        verifyUser
    """,
    Result.SENT_GUEST_MESSAGE: "answerGuestQuery",
    Result.SENT_WEB_APP_MESSAGE: "answerWebAppQuery",
    Result.MESSAGE_ID: "copyMessage",
    Result.MESSAGE_IDS: "copyMessages forwardMessages",
    Result.CHAT_INVITE_LINK: """
        createChatInviteLink createChatSubscriptionInviteLink editChatInviteLink
        editChatSubscriptionInviteLink revokeChatInviteLink
    """,
    Result.FORUM_TOPIC: "createForumTopic",
    Result.TEXT: """
        createInvoiceLink exportChatInviteLink getManagedBotToken replaceManagedBotToken
    """,
    Result.MESSAGE_OR_TRUE: """
        editMessageCaption editMessageLiveLocation editMessageMedia editMessageReplyMarkup editMessageText
        setGameScore stopMessageLiveLocation
    """,
    Result.MESSAGE: """
        editMessageChecklist forwardMessage sendAnimation sendAudio sendChecklist sendContact sendDice
        sendDocument sendGame sendInvoice sendLivePhoto sendLocation sendMessage sendPaidMedia sendPhoto
        sendPoll sendSticker sendVenue sendVideo sendVideoNote sendVoice
    """,
    Result.STORY: "editStory postStory repostStory",
    Result.GIFTS: "getAvailableGifts",
    Result.OWNED_GIFTS: "getBusinessAccountGifts getChatGifts getUserGifts",
    Result.STAR_AMOUNT: "getBusinessAccountStarBalance getMyStarBalance",
    Result.BUSINESS_CONNECTION: "getBusinessConnection",
    Result.CHAT_FULL_INFO: "getChat",
    Result.CHAT_MEMBERS: "getChatAdministrators",
    Result.CHAT_MEMBER: "getChatMember",
    Result.NUMBER: "getChatMemberCount",
    Result.MENU_BUTTON: "getChatMenuButton",
    Result.STICKERS: "getCustomEmojiStickers getForumTopicIconStickers",
    Result.FILE: "getFile uploadStickerFile",
    Result.GAME_HIGH_SCORES: "getGameHighScores",
    Result.BOT_ACCESS_SETTINGS: "getManagedBotAccessSettings",
    Result.USER: "getMe",
    Result.BOT_COMMANDS: "getMyCommands",
    Result.CHAT_ADMINISTRATOR_RIGHTS: "getMyDefaultAdministratorRights",
    Result.BOT_DESCRIPTION: "getMyDescription",
    Result.BOT_NAME: "getMyName",
    Result.BOT_SHORT_DESCRIPTION: "getMyShortDescription",
    Result.STAR_TRANSACTIONS: "getStarTransactions",
    Result.STICKER_SET: "getStickerSet",
    Result.UPDATES: "getUpdates",
    Result.USER_CHAT_BOOSTS: "getUserChatBoosts",
    Result.MESSAGES: "getUserPersonalChatMessages sendMediaGroup",
    Result.USER_PROFILE_AUDIOS: "getUserProfileAudios",
    Result.USER_PROFILE_PHOTOS: "getUserProfilePhotos",
    Result.WEBHOOK_INFO: "getWebhookInfo",
    Result.PREPARED_INLINE_MESSAGE: "savePreparedInlineMessage",
    Result.PREPARED_KEYBOARD_BUTTON: "savePreparedKeyboardButton",
    Result.POLL: "stopPoll",
}

#: Method -> what it answers.
METHODS: dict[str, Result] = {name: result for result, names in _BY_RESULT.items() for name in names.split()}
#: Lower-case method -> method: Telegram does not mind the case.
CANONICAL: dict[str, str] = {name.lower(): name for name in METHODS}
